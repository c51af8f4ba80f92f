"""Who may do what: hosts and origins, API keys and sessions, scopes, clients and their rates."""
