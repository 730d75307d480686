"""Models of an OpenAI-compatible server that returns the likeliest tokens of each position."""
