"""No-repeat n-gram: bans tokens that would complete an n-gram the text already holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from .. import base
from ..base import Info, Row, setting
from ..ops.tokens import ban


class NoRepeatNgram(base.Processor):
    info = Info(
        id="no_repeat_ngram",
        title="No-repeat n-gram",
        summary="Bans every token that would complete an n-gram already there, prompt included.",
        formula=r"z'_i = -\infty \quad \text{if } (x_{t-n+1}, \dots, x_{t-1}, i) "
        r"\text{ occurs in } x_{<t}",
        source="Paulus, Xiong & Socher 2017",
        url="https://arxiv.org/abs/1705.04304",
        advice="Use size 3 or 4 to break loops, above all with beam search. It also forbids "
        "repeats a text needs, such as a name or a line of code, so leave it off for factual text.",
    )

    class Params(base.Params):
        size: int = setting(
            0,
            "Length of the n-grams that may occur once, in tokens; 0 bans nothing.",
            usual=(0, 10),
            step=1,
            ge=0,
            le=1_000,
        )

    neutral: ClassVar = {"size": 0}
    each_alone: ClassVar = True

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self.params.size == 0:
            return scores
        vocab = scores.shape[-1]
        return ban(scores, [{i for i in self._completing(row) if i < vocab} for row in rows])

    def dead_end(self, row: Row) -> str:
        return "every token that is left here would complete an n-gram that is there already."

    def _completing(self, row: Row) -> set[int]:
        """Tokens that ended an n-gram whose beginning is the end of this row."""
        tokens, before = row.tokens, self.params.size - 1
        if before == 0:
            return set(tokens)
        prefix = tokens[-before:]
        return {
            tokens[at]
            for at in range(before, len(tokens))
            if tokens[at - 1] == prefix[-1] and tokens[at - before : at] == prefix
        }
