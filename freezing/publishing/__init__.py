"""From the bytes that a lost process may have left to files that are published. No TensorFlow."""
