"""One module per resource of the HTTP interface: it parses, calls and answers."""
