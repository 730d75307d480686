"""One lane's part of a step: from the logits of its rows to the tokens that follow them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from torch import Tensor

from playground.engine.lanes.lane import Lane
from playground.engine.lanes.rows import NOTHING, Given, LaneRow
from playground.engine.lanes.stages import Stage
from strategies import LookAhead, Move, Rewind
from strategies.ops.noise import Noise


@dataclass(eq=False)
class LaneStep:
    """What is known of a lane's step, filled in as it is processed, chosen and recorded.

    ``logits`` are what the model gave its rows, and ``scores`` what the processors called so far
    made of them; ``stages`` are the scores after each. Times are in seconds.
    """

    lane: Lane
    noise_at: Callable[[int], Noise]  # by the number of tokens the lane wrote
    logits: Stage
    given: Given = NOTHING  # what its strategies read beside the scores
    draft: int | None = None  # the token that was drafted
    forward: float = 0.0  # of the forwards behind it
    forward_rows: int = 1  # that shared them
    rows: list[LaneRow] = field(init=False)
    noises: list[Noise] = field(init=False)  # of each row's position
    scores: Stage = field(init=False)
    stages: list[Stage] = field(default_factory=list)
    batch_draws: dict[tuple[int, int | None], int] = field(default_factory=dict)  # as of ``Step``
    choosing: Generator[LookAhead, Tensor, list[Move | Rewind]] | None = None
    look_ahead: LookAhead | None = None  # the tokens that the search must see before it goes on
    states: Tensor | None = None  # the states of those tokens, once they are read
    moves: list[Move] = field(default_factory=list)
    rewinds: list[Rewind] = field(default_factory=list)  # rows that the search takes back
    fault: Exception | None = None
    processors: float = 0.0
    search: float = 0.0
    normalise: float = 0.0  # the log-softmax before the first processor

    def __post_init__(self) -> None:
        self.rows, self.scores = self.lane.running, self.logits
        before = self.lane.before
        self.noises = [self.noise_at(len(held.row.generated) - before) for held in self.rows]
