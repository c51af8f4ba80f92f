"""What a worker process is: its life, its claims, its memory, and who watches over it."""
