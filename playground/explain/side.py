"""One of two columns that are compared, as far as it is generated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from playground.trace import Chain, ChainStep, Choosing, StepRecord, Trace


@dataclass(frozen=True)
class Side:
    """A column: its letter, its recipe, and the records of the text it shows.

    ``output`` is that text's number among the lane's; ``over`` is whether it is finished, and
    ``vocab_size`` is 0 where it is not known. ``model`` is the title of the model that wrote it,
    empty where one model wrote all columns.
    """

    letter: str
    chain: Chain
    path: Sequence[StepRecord]
    output: int = 0
    over: bool = True
    vocab_size: int = 0
    model: str = ""

    @classmethod
    def of(
        cls, letter: str, trace: Trace, output: int = 0, over: bool = True, model: str = ""
    ) -> Side:
        """The side of a lane, with its first text where it has no ``output``-th one."""
        output = output if output < len(trace.outputs) else 0
        return cls(letter, trace.chain, trace.path(output), output, over, trace.vocab_size, model)

    @property
    def processors(self) -> list[ChainStep]:
        return self.chain.processors

    @property
    def search(self) -> str:
        """The search's id: greedy, sample, beam …"""
        return self.chain.search.strategy

    @property
    def chooses(self) -> Choosing | None:
        """How the search chooses; None where it does not declare it."""
        return self.chain.chooses

    @property
    def seed(self) -> Any:
        """A seed of the search's own, in place of the run's; None where it has none."""
        return self.chain.search.params.get("seed")

    def draws_as(self, other: Side) -> bool:
        """Whether both draw, and with the same noise: the same seed and sample."""
        drawn = self.chooses == other.chooses == "draw"
        return drawn and (self.output, self.seed) == (other.output, other.seed)
