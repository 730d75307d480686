"""What a lane holds of its rows, and what it is handed to go on with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from playground.engine.lanes.detokenizer import Detokenizer, Text, find_stop
from playground.trace import FinishReason
from strategies import Row


class Store(Protocol):
    """Where rows keep their keys and values."""

    def copy(self, sources: Sequence[int], targets: Sequence[int], first: int, last: int) -> None:
        """Positions ``first`` to ``last`` of each source into its target, which is no source."""


class Fault(RuntimeError):
    """A strategy returned something no text can continue from; the message says what."""


@dataclass(frozen=True)
class LaneRow:
    """One row with what the engine keeps beside the strategy's view of it."""

    row: Row  # its state is the search's
    states: tuple[Any, ...]  # one per processor
    text: Text
    node: int | None  # the step record of its last token
    slot: int
    reason: FinishReason | None = None


class Look(BaseException):
    """A search asks for states of these next tokens, which no forward has read yet.

    Not an ``Exception``: a strategy's own handlers let it through.
    """

    def __init__(self, tokens: Sequence[int]) -> None:
        super().__init__()
        self.tokens = tuple(tokens)


@dataclass(frozen=True)
class Given:
    """What a lane's strategies read beside the scores: per processor that ``needs``, per row."""

    depths: dict[int, Sequence[Tensor]] = field(default_factory=dict)
    hidden: Sequence[Tensor] = ()
    peek: Callable[[int, Sequence[int]], Tensor] | None = None


NOTHING = Given()


@dataclass(frozen=True)
class Ends:
    """What ends a text. ``limit`` counts new tokens and ``limited`` is the reason it gives."""

    eos: frozenset[int]
    stop: tuple[str, ...]
    least: int  # new tokens before a stop string counts
    limit: int
    limited: FinishReason

    def met(
        self, detokenizer: Detokenizer, held: LaneRow, token: int
    ) -> tuple[FinishReason | None, Text]:
        """What ends ``held`` if ``token`` follows, None where nothing does, and its text then."""
        tokens = (*held.row.tokens, token)
        count = len(tokens) - held.row.prompt_length
        text = detokenizer.extend(held.text, tokens)
        if token in self.eos:
            return "eos", text
        if count >= self.least:
            place = find_stop(text.value, len(text.value) - len(held.text.value), self.stop)
            if place is not None:
                return "stop", text
        return (self.limited if count >= self.limit else None), text
