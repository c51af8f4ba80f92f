"""The graphs of this process: loaded once, warmed, run in micro-batches. TensorFlow lives here."""
