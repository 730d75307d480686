"""The processors: one file each."""
