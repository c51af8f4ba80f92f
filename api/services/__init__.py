"""What all requests of one API process share: connections, stores and the event loop."""
