"""Who goes next: the loop, the queue of runs, and the prompts read for them."""
