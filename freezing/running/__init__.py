"""How a process that works on a stranger's model runs: limits, forks, failures, what it tells."""
