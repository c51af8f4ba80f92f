"""Proof that a graph file answers as its source does."""
