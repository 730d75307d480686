"""Why a text cannot go on: the step that removed its last token, and the one that left few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .base import Processor
from .step import Row


@dataclass(frozen=True)
class DeadEnd:
    """That the processor at ``depth`` left a row no token, and ``why``, in a sentence."""

    depth: int
    why: str


def dead_end(
    processors: Sequence[Processor], views: Sequence[Row], left: Sequence[int]
) -> DeadEnd | None:
    """The processor that left a row no token; None where tokens are left.

    ``views`` are the row with the state of each processor; ``left`` counts the row's tokens before
    the first processor and after each.
    """
    taken = [depth for depth in range(len(processors)) if left[depth + 1] < left[depth]]
    if left[-1] > 0 or not taken:
        return None
    depth = taken.pop()
    why = processors[depth].dead_end(views[depth])
    if taken and left[depth] < left[0] / 2:  # else what came before hardly matters
        why = f"{why.removesuffix('.')}; {processors[taken[-1]].info.id} had left {left[depth]:,}."
    return DeadEnd(depth, why)
