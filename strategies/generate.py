"""Where programs found ``strategies.bridges.generate`` before it had that name."""

from .bridges.generate import Own, arguments, own_recipe, python

__all__ = ["Own", "arguments", "own_recipe", "python"]
