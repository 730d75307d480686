"""What a search of several texts weighs at each step, kept for the trace of its lane."""

from __future__ import annotations

import math
from collections.abc import Sequence

from playground.engine.lanes.detokenizer import Detokenizer
from playground.engine.lanes.rows import LaneRow
from playground.trace import BeamRecord, EndedRow, PassedOver
from strategies import Move, Search

SINGLE = ("likeliest", "draw", "likeness")  # they choose token by token, not among texts


def weighs(search: Search) -> bool:
    """Whether the search keeps several texts at once and chooses among them."""
    return search.width() > 1 and not search.asks and search.chooses not in SINGLE


class Weighing:
    """Written by the loop as a lane goes on; any thread may read its ``record``."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.most = 2 * search.width()  # continuations of a step that are kept, the first ones
        self.weights: dict[int, float] = {}  # by step record
        self.passed: list[PassedOver] = []

    def add(
        self,
        index: int,
        rows: Sequence[LaneRow],
        passed: Sequence[Move],
        nexts: Sequence[LaneRow],
        detokenizer: Detokenizer,
    ) -> None:
        """Keep what was weighed of ``rows`` for the token ``index``, of which ``nexts`` came."""
        weights = self.search.weigh([held.row for held in nexts])
        for held, weight in zip(nexts, weights, strict=True):
            if held.node is not None and math.isfinite(weight):
                self.weights[held.node] = weight
        known = [
            move
            for move in passed
            if 0 <= move.parent < len(rows) and math.isfinite(move.score)
        ][: self.most]  # fmt: skip
        if known:
            self.passed.append(
                PassedOver.model_construct(
                    index=index,
                    parents=[rows[move.parent].node for move in known],
                    tokens=[move.token for move in known],
                    texts=[detokenizer.piece(move.token) for move in known],
                    scores=[move.score for move in known],
                )
            )

    def record(
        self, steps: int, rows: Sequence[LaneRow], passed: Sequence[PassedOver]
    ) -> BeamRecord:
        """All of it, beside so many step records; ``rows`` are the lane's, finished ones too.

        ``rows`` and ``passed`` are read before the steps, which may grow meanwhile.
        """
        return BeamRecord.model_construct(
            weighs_by=self.search.weighs_by,
            weights=[self.weights.get(node) for node in range(steps)],
            ended=[
                EndedRow.model_construct(node=held.node, reason=held.reason)
                for held in rows
                if held.node is not None and held.reason is not None
            ],
            passed=list(passed),
        )
