"""What is in a source, and what to freeze of it, without running anything."""
