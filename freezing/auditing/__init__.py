"""Which graphs may run and be served."""
