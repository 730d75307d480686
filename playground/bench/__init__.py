"""The measurements of the README: ``python -m playground.bench``, ``… load``, ``… strategies``."""
