"""Permafrost's peers: how else a frozen graph is served, each as its own documentation tells.

They run in an environment of their own, with `requirements.txt`, and import nothing of Permafrost.
"""
