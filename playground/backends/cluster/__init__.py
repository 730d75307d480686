"""Models served by replicas in other processes and machines, over Ray Serve."""
