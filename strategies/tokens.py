"""Where plugins found what is now in ``strategies.ops``."""

from .ops.spellings import Text, spellings
from .ops.tokens import WINDOW, ban, completes, seen

__all__ = ["WINDOW", "Text", "ban", "completes", "seen", "spellings"]
