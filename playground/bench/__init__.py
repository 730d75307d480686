"""The measurements of the README: ``python -m playground.bench`` and ``… bench load``."""
