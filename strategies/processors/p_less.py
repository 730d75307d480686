"""P-less: cuts at the probability that two draws from the distribution agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from .. import base
from ..base import Info, Row
from ..distribution import Distribution
from ..ops.bounded import Bounded
from ..ops.reduce import collision
from ..ops.truncation import keep_likely


class PLess(base.Processor):
    info = Info(
        id="p_less",
        title="P-less",
        summary="Keeps the tokens that are at least as likely as two draws are to agree.",
        formula=r"z'_i = \begin{cases} z_i & p_i \ge \sum_j p_j^2 \\ -\infty & \text{otherwise} "
        r"\end{cases}",
        source="Tan, Wu & Howard 2026",
        url="https://openreview.net/forum?id=ItFuNJQGH4",
        advice="Use it where no bar should be tuned, behind a temperature, which moves the bar "
        "along. It leaves one or two tokens where the model is fairly sure, so stories read "
        "flat; its normalised form keeps more.",
    )

    beside: ClassVar = "top_p"
    keeps_by: ClassVar = "probability"

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        probs = scores.softmax(-1)
        return keep_likely(scores, probs, collision(probs).float()[:, None])

    def threshold(self, given: Distribution) -> float:
        return float(collision(given.scores[None].softmax(-1)))

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        (least, most), (low, high) = scores.log_total(), scores.log_squares()
        return scores.at_least(low - most, high - least)
