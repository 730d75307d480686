"""Where two columns first part, from their step records alone.

Columns of one run share the prompt, the seed and its noise. Up to the first token that differs the
model therefore gave both the same logits; they part by what a recipe did to them, or by how it
chooses. Columns of two models part by the models' logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from playground.explain.reasons import Divergence, Why
from playground.explain.side import Side
from playground.explain.words import count

__all__ = ["Parting", "Side", "parting"]


@dataclass(frozen=True)
class Parting:
    """The first token of the right column that differs from the left one's, None where none does.

    ``text`` is a sentence without its capital and its full stop.
    """

    index: int | None
    why: Why | Literal["same", "ended"]
    text: str


def parting(left: Side, right: Side) -> Parting | None:
    """Where and why ``right`` parts from ``left``; None while too little is generated to know."""
    for index, (was, now) in enumerate(zip(left.path, right.path, strict=False)):
        if was.token != now.token:
            reason = Divergence(left, right, was, now).reason()
            text = f"parts from {left.letter} at token {index + 1}: {reason.text}"
            return Parting(index, reason.why, text)
    if not (left.path and right.path and left.over and right.over):
        return None
    shared = min(len(left.path), len(right.path))
    if len(left.path) == len(right.path):
        length = f"all {shared} tokens" if shared > 1 else "one token"
        return Parting(None, "same", f"the same text as {left.letter}, {length}")
    longer, shorter = (left, right) if len(left.path) > shared else (right, left)
    text = (
        f"the same as {left.letter} for {count(shared, 'token')}; there {shorter.letter} ended "
        f"and {longer.letter} went on"
    )
    return Parting(shared if longer is right else None, "ended", text)
