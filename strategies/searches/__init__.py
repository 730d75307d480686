"""The searches: one file each, and what the beam searches share."""
