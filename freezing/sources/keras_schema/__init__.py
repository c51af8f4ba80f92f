"""What a Keras configuration may hold, as data, and its reading by that and nothing else.

`layers`, `parts`, `operations` and `functions` are lists; `values`, `calls` and `rebuild` read a
configuration by them. None imports TensorFlow or Keras.
"""
