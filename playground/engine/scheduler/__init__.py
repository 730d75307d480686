"""Which runs are served when: they leave the queue, are prefilled, and are stepped by the loop."""
