"""Minimum Bayes risk: of several samples the one that is most like the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from .. import base
from ..base import Info, Row, setting
from ..ops.likeness import Pieces, chrf, overlap
from .reranked import N, Reranked


class MinimumBayesRisk(Reranked):
    info = Info(
        id="mbr",
        title="Minimum Bayes risk",
        summary="Draws n texts and shows the one that is most like all the others.",
        formula=r"\operatorname*{arg\,max}_{y \in \{y_1, \dots, y_n\}} \frac{1}{n - 1} "
        r"\sum_{y' \ne y} u(y, y'), \quad y_i \sim p",
        source="Eikema & Aziz 2020; chrF: Popović 2015",
        url="https://arxiv.org/abs/2005.10283",
        advice="Use it for translations and summaries, where what most samples say is likely to be "
        "right, and draw from the model as it is. In stories there is no such agreement, and the "
        "text in the middle is the dullest.",
    )

    class Params(base.Params):
        n: int = N
        utility: Literal["chrf", "overlap"] = setting(
            "chrf", "What counts as alike: runs of characters, or tokens in common."
        )

    weighs_by = "likeness"

    def values(self, rows: Sequence[Row]) -> list[float]:
        alike = self._utilities(rows)
        others = max(1, len(rows) - 1)
        return [sum(u for j, u in enumerate(own) if j != i) / others for i, own in enumerate(alike)]

    def _utilities(self, rows: Sequence[Row]) -> list[list[float]]:
        """How much each text is like each other one."""
        if self.params.utility == "overlap":
            return [[overlap(a.generated, b.generated) for b in rows] for a in rows]
        texts = [Pieces.of(self.text(row)) for row in rows]
        return [[chrf(a, b) for b in texts] for a in texts]
