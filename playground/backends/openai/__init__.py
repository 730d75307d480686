"""Models of a server that speaks OpenAI's HTTP and tells the likeliest tokens, a lesser engine."""
