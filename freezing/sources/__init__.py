"""What can be frozen. One module per kind of source, all of them giving a `source.Source`.

`opening.open_source` tells the kind. TensorFlow is imported by the modules that read content, and
not by `paths`, `places`, `contents` and `checkpoint_files`, which look at names and first bytes.
"""
