"""From a graph with variables, tables and branches to one of constants, and to ONNX."""
