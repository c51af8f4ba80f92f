"""The demo model: a small TF1-style network, how it was trained, and its checkpoint."""
