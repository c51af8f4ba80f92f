"""One operation for each thing that a server does, which both clients run."""
