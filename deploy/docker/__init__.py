"""The container images of docker-compose.yml and what runs only inside them."""
