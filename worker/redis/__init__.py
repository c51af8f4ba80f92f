"""Redis itself: its address, connections to it, and its memory."""
