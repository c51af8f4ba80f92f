"""The core of Permafrost: what a job is, where it is stored and who works on it."""
