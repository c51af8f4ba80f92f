"""Resizing: with each filter, the values that its own library makes of a picture."""
