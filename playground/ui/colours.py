"""The page's names for the colours that charts use too."""

from __future__ import annotations

from playground.colours import COLOURS, INKS, LETTERS, MODEL_GREY

__all__ = ["COLOURS", "INKS", "LETTERS", "MODEL_GREY"]
