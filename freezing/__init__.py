"""Sources -> inspected, frozen, audited, verified, published.

`process.freeze` is the way in: it runs the work in a fresh child process and imports no TensorFlow
itself. Everything else here is what that child does.
"""
