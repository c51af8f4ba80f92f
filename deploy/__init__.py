"""Everything that runs Permafrost: the local system, containers, the demo model."""
