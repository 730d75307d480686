"""Other programs that generate text, against this one, by turns: ``comparing.compare``."""
