"""What is published: models, their immutable versions and movable aliases."""
