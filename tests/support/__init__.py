"""What tests share: real servers and processes, and polling with a deadline."""
