"""Best of n: of several samples the one that the model finds likeliest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from .. import base
from ..base import Info, Row, setting
from .reranked import N, Reranked


class BestOf(Reranked):
    info = Info(
        id="best_of",
        title="Best of n",
        summary="Draws n texts and shows the one that the model itself finds likeliest.",
        formula=r"\operatorname*{arg\,max}_{y \in \{y_1, \dots, y_n\}} \frac{1}{|y|} \sum_t \log "
        r"p(y_t \mid y_{<t}), \quad y_i \sim q",
        source="OpenAI API reference (best_of)",
        url="https://platform.openai.com/docs/api-reference/completions/create",
        advice="Use it where one bad draw would be a pity, under a temperature that lets the texts "
        "differ. A likely text is not a good one: with many texts the blandest wins.",
    )

    class Params(base.Params):
        n: int = N
        by: Literal["mean", "sum"] = setting(
            "mean", "Whether the log-probability counts by the token or of the whole text."
        )

    weighs_by = "log-probability"

    def values(self, rows: Sequence[Row]) -> list[float]:
        per_token = self.params.by == "mean"
        return [row.score / (max(1, len(row.generated)) if per_token else 1) for row in rows]

    @property
    def figure(self) -> str:
        return f"{self.params.by} log-probability"
