"""What every search shares that draws several texts and then puts the best of them first."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import ClassVar

from .. import base
from ..base import Choosing, Move, Row, Step, setting

N = setting(8, "How many texts are drawn.", usual=(2, 16), step=1, ge=2, le=32)


class Reranked(base.Search, ABC):
    """Texts are drawn as by ``sample``; a row's score is its log-probability under the model.

    A subclass gives their ``values`` once all are whole. Until then they stand as they were drawn.
    """

    chooses: ClassVar[Choosing | None] = "drawn text"
    independent: ClassVar[bool] = True

    def values(self, rows: Sequence[Row]) -> list[float]:
        """What each whole text is worth, the highest best, of equal ones the first drawn."""
        raise NotImplementedError

    def width(self) -> int:
        return int(self.params.n)

    def advance(self, step: Step) -> list[Move]:
        # One row, from which every text starts; later there are as many as texts.
        first = len(step.rows) + len(step.finished) + len(step.waiting) < self.width()
        rows = [0] * self.width() if first else range(len(step.rows))
        logits = step.scores if step.logits is None else step.logits
        known = logits.log_softmax(-1)
        moves = []
        for number, row in enumerate(rows):
            sample = number if first else step.rows[row].sample
            token = step.draw(row, sample)
            score = step.rows[row].score + float(known[row, token])
            moves.append(step.move(row, token, score=score, sample=sample))
        return moves

    def order(self, rows: Sequence[Row]) -> list[Row]:
        drawn = sorted(rows, key=lambda row: row.sample)
        if not all(row.done for row in drawn):
            return drawn
        worth = self._known(drawn)
        ranked = sorted(zip(worth, drawn, strict=True), key=lambda pair: -pair[0])
        return [row for _, row in ranked]

    def weigh(self, rows: Sequence[Row]) -> list[float]:
        """Gives no numbers: the texts are compared once, when all are whole."""
        return [float("nan")] * len(rows)

    def value(self, row: Row, rows: Sequence[Row]) -> float | None:
        """What the text is worth beside the others; None while one of them is being written."""
        drawn = sorted(rows, key=lambda other: other.sample)
        if not all(other.done for other in drawn):
            return None
        return self._known(drawn)[[other.sample for other in drawn].index(row.sample)]

    def measure(self, row: Row, rows: Sequence[Row]) -> Mapping[str, float]:
        value = self.value(row, rows)
        return {} if value is None else {self.figure: value}

    @property
    def figure(self) -> str:
        """What the value is called beside the text."""
        return self.weighs_by

    def text(self, row: Row) -> str:
        """What is written in a row, without the token that ends it."""
        ends = self.context.eos_token_ids
        return self.context.decode([token for token in row.generated if token not in ends])

    def _known(self, drawn: Sequence[Row]) -> list[float]:
        """The values of these texts, found once."""
        key = tuple(row.tokens for row in drawn)
        held: tuple[object, list[float]] = getattr(self, "_held", (None, []))
        if held[0] != key:
            held = self._held = (key, self.values(drawn))
        return held[1]
