"""What people bring to be frozen: recognised by content, located with all that belongs to it.

One locator serves the server, the job and the command line. It imports no TensorFlow and runs
nothing of what it looks at.
"""
