"""What a model may hold that is served: the lists, and who looks."""
