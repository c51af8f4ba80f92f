"""What a process that works on a stranger's model may do: as little as its kernel can enforce.

The audit decides whether a model may run; this is for the model that gets through it. Each module
is one mechanism of Linux, called by ctypes; `confine` puts them in force together.
"""
