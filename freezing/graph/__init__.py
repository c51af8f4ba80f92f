"""What a graph is made of: its nodes, names, shapes and what flows where."""
