"""Jobs: what they are, where they live in Redis, how workers claim them."""
