"""Who goes next: runs leave the queue, their prompts are prefilled, and the loop steps them."""
