"""Where plugins found ``strategies.ops.tokens`` before it had that name."""

from .ops.tokens import WINDOW, Text, ban, completes, seen, spellings

__all__ = ["WINDOW", "Text", "ban", "completes", "seen", "spellings"]
