"""The kernel of Permafrost: what a job is, where it lives and who works on it."""
