"""Other programs that write texts, against this one, in turns: ``comparing.compare``."""
