"""Redis as such: how its address is written, how it is connected to, and how full it is."""
