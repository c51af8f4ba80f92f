"""What to freeze where a request leaves it open, and what the version can then be used for."""
