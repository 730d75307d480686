"""Epsilon cutoff: removes tokens below a fixed probability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from .. import base
from ..base import Info, Row, setting
from ..distribution import Distribution
from ..ops.bounded import Bounded
from ..ops.truncation import keep_likely


class EpsilonCutoff(base.Processor):
    info = Info(
        id="epsilon_cutoff",
        title="Epsilon cutoff",
        summary="Removes tokens less likely than epsilon; the likeliest always stays.",
        formula=r"z'_i = \begin{cases} z_i & p_i \ge \varepsilon \\ -\infty & \text{otherwise} "
        r"\end{cases}",
        source="Hewitt, Manning & Liang 2022",
        url="https://arxiv.org/abs/2210.15191",
        advice="Use it to cut only what is all but impossible and keep the rest as the model has "
        "it. One bar for every step is too high where many words fit; eta cutoff lowers it there.",
    )

    class Params(base.Params):
        epsilon: float = setting(
            0.0,
            "The probability a token needs; 0 keeps them all.",
            usual=(0.0, 0.01),
            step=0.0001,
            ge=0.0,
            le=1.0,
        )

    neutral: ClassVar = {"epsilon": 0.0}
    keeps_by: ClassVar = "probability"

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self.params.epsilon == 0.0:
            return scores
        return keep_likely(scores, scores.softmax(-1), self.params.epsilon)

    def threshold(self, given: Distribution) -> float:
        return float(self.params.epsilon)

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        low, high = (math.log(self.params.epsilon) + total for total in scores.log_total())
        return scores.at_least(low, high)
