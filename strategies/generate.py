"""Where programs found what is now in ``strategies.bridges``."""

from .bridges.generate import arguments, python
from .bridges.generation_config import Own, own_recipe

__all__ = ["Own", "arguments", "own_recipe", "python"]
