"""Self-consistency: of several samples one that comes to the answer of most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from .. import base
from ..base import Info, Row, setting
from ..ops.answers import answers
from ..ops.expressions import Expression
from .reranked import N, Reranked


class SelfConsistency(Reranked):
    info = Info(
        id="self_consistency",
        title="Self-consistency",
        summary="Draws n texts and shows one that comes to the answer that most of them come to.",
        formula=r"\operatorname*{arg\,max}_a \sum_{i=1}^n \mathbb{1}[a(y_i) = a], \quad y_i \sim p",
        source="Wang et al. 2022",
        url="https://arxiv.org/abs/2203.11171",
        advice="Use it where there is one answer and several ways to it, as in sums and riddles, "
        "under a temperature of 0.5 to 0.7. It counts what an expression finds last, a number if "
        "you name none, and texts without an answer have no vote.",
    )

    class Params(base.Params):
        n: int = N
        answer: Expression = setting(
            "",
            "A regular expression of the answer, of which the last counts, or its first group; "
            "empty is the last number.",
        )

    weighs_by = "votes"

    def values(self, rows: Sequence[Row]) -> list[float]:
        """Votes; of the texts of one answer the likelier by the token comes first."""
        likely = [row.score / max(1, len(row.generated)) for row in rows]
        order = sorted(likely)
        return [
            votes + order.index(own) / (len(order) + 1)
            for votes, own in zip(self._votes(rows), likely, strict=True)
        ]

    def _votes(self, rows: Sequence[Row]) -> list[int]:
        found = answers([self.text(row) for row in rows], self.params.answer)
        votes = Counter(one for one in found if one is not None)
        return [0 if one is None else votes[one] for one in found]

    def measure(self, row: Row, rows: Sequence[Row]) -> Mapping[str, float]:
        value = self.value(row, rows)
        return {} if value is None else {"votes": int(value)}
