"""The metrics, one file each; nothing else is in this folder."""
