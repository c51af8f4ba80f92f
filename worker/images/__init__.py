"""From uploaded bytes to a network's input."""
