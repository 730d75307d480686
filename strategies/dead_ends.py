"""Why a text cannot go on: the step that took its last token, and the one that had left it few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .base import Processor, Row


@dataclass(frozen=True)
class DeadEnd:
    """That the processor at ``depth`` left a row no token, and ``why``, in a sentence."""

    depth: int
    why: str


def dead_end(
    processors: Sequence[Processor], views: Sequence[Row], left: Sequence[int]
) -> DeadEnd | None:
    """What left a row no token, None where it has some.

    ``views`` are the row as each processor sees it, with its own state; ``left`` counts the row's
    tokens before the first processor and after each.
    """
    taken = [depth for depth in range(len(processors)) if left[depth + 1] < left[depth]]
    if left[-1] > 0 or not taken:
        return None
    depth = taken.pop()
    why = processors[depth].dead_end(views[depth])
    if taken and left[depth] < left[0] / 2:  # else what came before hardly matters
        why = f"{why.removesuffix('.')}; {processors[taken[-1]].info.id} had left {left[depth]:,}."
    return DeadEnd(depth, why)
