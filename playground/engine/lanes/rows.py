"""What a lane keeps of each of its rows, and what its strategies read beside the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from playground.engine.lanes.detokenizer import Text
from playground.trace import FinishReason, TakenBack
from strategies import Row


class Fault(RuntimeError):
    """A strategy returned something no text can continue from; the message says what."""


@dataclass(frozen=True)
class Past:
    """What a row was when it had fewer tokens, beside the tokens themselves.

    ``text`` is without its characters, of which there were ``length``.
    """

    states: tuple[Any, ...]
    text: Text
    length: int
    node: int | None
    state: Any
    score: float


@dataclass(frozen=True)
class LaneRow:
    """One row with what the engine keeps beside the strategy's view of it.

    In a lane that may take tokens back, ``past`` is what the row was at every shorter length, and
    ``taken_back`` the texts that followed its last token before.
    """

    row: Row  # its state is the search's
    states: tuple[Any, ...]  # one per processor
    text: Text
    node: int | None  # the step record of its last token
    slot: int  # -1 while it waits, and once it is finished and another row has its slot
    reason: FinishReason | None = None  # why it ended; None while it runs
    past: tuple[Past, ...] = ()
    taken_back: tuple[TakenBack, ...] = ()
    waits: bool = False  # for another row of the lane to end: it has its first token


def moved(held: LaneRow, became: Mapping[int, int]) -> LaneRow:
    """The row after its lane got other slots: ``became`` is the new slot of each one before."""
    return replace(held, slot=became.get(held.slot, held.slot))


@dataclass(frozen=True)
class Given:
    """What a lane's strategies read beside the scores.

    ``by_processor`` holds, under the index of each processor that ``needs`` something, one tensor
    per row; ``hidden`` the states of each row, for a search that ``needs_hidden``.
    """

    by_processor: Mapping[int, Sequence[Tensor]] = field(default_factory=dict)
    hidden: Sequence[Tensor] = ()


NOTHING = Given()
