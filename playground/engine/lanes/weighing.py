"""What a search over several texts weighs at each step, kept for the trace of its lane."""

from __future__ import annotations

import math
from collections import defaultdict
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
        self.groups: dict[int, int] = {}  # by step record
        self.passed: list[PassedOver] = []

    def add(
        self,
        rows: Sequence[LaneRow],
        passed: Sequence[Move],
        nexts: Sequence[LaneRow],
        detokenizer: Detokenizer,
    ) -> None:
        """Keep what was weighed at one step, which led from ``rows`` to ``nexts``."""
        weights = self.search.weigh([held.row for held in nexts])
        for held, weight in zip(nexts, weights, strict=True):
            if held.node is not None and math.isfinite(weight):
                self.weights[held.node] = weight
            group = None if held.node is None else self.search.group(held.row)
            if held.node is not None and group is not None:
                self.groups[held.node] = group
        known = [m for m in passed if 0 <= m.parent < len(rows) and math.isfinite(m.score)]
        at: dict[int, list[Move]] = defaultdict(list)  # by position: a rewound row is shorter
        for move in known[: self.most]:
            row = rows[move.parent].row
            at[len(row.generated) - row.fixed].append(move)
        for index, moves in at.items():
            self.passed.append(
                PassedOver.model_construct(
                    index=index,
                    parents=[rows[move.parent].node for move in moves],
                    tokens=[move.token for move in moves],
                    texts=[detokenizer.piece(move.token) for move in moves],
                    scores=[move.score for move in moves],
                )
            )

    def record(
        self, steps: int, rows: Sequence[LaneRow], passed: Sequence[PassedOver]
    ) -> BeamRecord:
        """All that was weighed, for the first ``steps`` records of the lane.

        ``rows`` are the lane's, finished ones too. They and ``passed`` are read before the number
        of records, which may grow meanwhile.
        """
        return BeamRecord.model_construct(
            weighs_by=self.search.weighs_by,
            weights=[self.weights.get(node) for node in range(steps)],
            groups=[self.groups.get(node) for node in range(steps)] if self.groups else [],
            ended=[
                EndedRow.model_construct(node=held.node, reason=held.reason)
                for held in rows
                if held.node is not None and held.reason is not None
            ],
            passed=list(passed),
        )
