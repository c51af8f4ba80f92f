"""The distribution that `pip install` makes of this repository: the client and its commands."""
