"""How images become a network's input: read from the graph, recognised, measured or assumed."""
