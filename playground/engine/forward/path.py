"""The protocol of one way to compute a model's forwards over slots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from torch import Tensor

_REPEATS = 7  # of a timing, at most
_LONGEST_S = 2.0  # of one comparison of two ways
_SLOWER = 2.0  # times the other's least time, at least


@dataclass(frozen=True)
class Rows:
    """One token of each row: its slot (in rising order), its id, and its position.

    ``idle`` more rows are computed and dropped.
    """

    slots: Sequence[int]
    ids: Sequence[int]
    positions: Sequence[int]
    idle: int = 0

    def __len__(self) -> int:
        return len(self.slots)


@dataclass(frozen=True)
class Decoded:
    """``logits`` are float32 ``[rows, vocab]``, ``layers`` are ``[layers + 1, rows, width]``.

    Where layers are requested, the logits may be left to the vocabulary head.
    """

    logits: Tensor | None = None
    layers: Tensor | None = None


class ForwardPath(Protocol):
    """One way of computing the forwards. It returns None for what it cannot compute, or not yet.

    After a ``RuntimeError`` it is not used again, and the next path is taken.
    """

    name: str

    def prefill(self, slot: int, ids: Sequence[int], start: int) -> Tensor | None:
        """Write tokens of one row from ``start`` on; the logits ``[1, vocab]`` after the last."""

    def decode(self, rows: Rows, layers: bool) -> Decoded | None:
        """Write one token of each row; its logits, and with ``layers`` every layer's states."""


def is_slower(way: Callable[[], object], other: Callable[[], object]) -> bool:
    """Whether ``way`` takes clearly longer than ``other``, every time of several by turns.

    One delay of the machine must not decide it: the two may differ in their last bits, and the next
    start of the program should generate what this one does.
    """
    seconds: tuple[list[float], list[float]] = [], []
    begun = perf_counter()
    for _ in range(_REPEATS):
        for times, work in zip(seconds, (way, other), strict=True):
            clock = perf_counter()
            work()
            times.append(perf_counter() - clock)
        if perf_counter() - begun > _LONGEST_S:
            break
    return min(seconds[0]) > max(_SLOWER * min(seconds[1]), max(seconds[1]))
