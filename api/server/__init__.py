"""The one door: an event loop that reads all requests, and Flask behind it for what needs a thread.

HTTP is read by httptools (llhttp, which Node.js uses) in uvicorn, Redis' protocol by redis-py.
"""
