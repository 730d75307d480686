"""Lanes: the rows of each, how its moves become next rows and records, and what others read."""
