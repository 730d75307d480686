"""Top-a: a bar that rises with the square of the likeliest token's probability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from .. import base
from ..base import Info, Row, setting
from ..distribution import Distribution
from ..ops.bounded import Bounded


class TopA(base.Processor):
    info = Info(
        id="top_a",
        title="Top-a",
        summary="Keeps tokens at least as likely as a times the likeliest one's square.",
        formula=r"z'_i = \begin{cases} z_i & p_i \ge a \, (\max_j p_j)^2 \\ -\infty & "
        r"\text{otherwise} \end{cases}",
        source="BlinkDL 2022 (RWKV-LM); KoboldAI",
        url="https://github.com/BlinkDL/RWKV-LM#the-top-a-sampling-method",
        advice="Use it where the model should be left free when it is unsure and held when it is "
        "sure. At its usual values it cuts little where no token is likely; min-p cuts more there.",
    )

    class Params(base.Params):
        a: float = setting(
            0.0,
            "The factor of the square; 0 keeps every token.",
            usual=(0.0, 1.0),
            step=0.01,
            ge=0.0,
            le=1.0,
        )

    neutral: ClassVar = {"a": 0.0}
    keeps_by: ClassVar = "probability"
    beside: ClassVar = "min_p"

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self.params.a == 0.0:
            return scores
        probs = scores.softmax(-1)
        bar = self.params.a * probs.amax(-1, keepdim=True).square()
        return torch.where(probs >= bar, scores, -torch.inf)

    def threshold(self, given: Distribution) -> float:
        return float(self.params.a * math.exp(2 * given.best))

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        least, most = scores.log_total()
        bar = math.log(self.params.a)
        return scores.at_least(bar + 2 * scores.best_low - most, bar + 2 * scores.best_high - least)
