"""What a graph may hold that is loaded here: the list, and who looks."""
