"""Min-p: tokens need a fixed share of the likeliest token's probability."""

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


class MinP(base.Processor):
    info = Info(
        id="min_p",
        title="Min-p",
        summary="Keeps tokens at least min_p times as likely as the likeliest one.",
        formula=r"z'_i = \begin{cases} z_i & p_i \ge p_{\min} \cdot \max_j p_j \\ -\infty & "
        r"\text{otherwise} \end{cases}",
        source="Nguyen et al. 2024",
        url="https://arxiv.org/abs/2407.01082",
        advice="Use it to keep the tail out when the temperature is high, since its bar rises and "
        "falls with the model's certainty. Whether it beats top-p is disputed, so compare "
        "the two on your own prompts.",
    )

    class Params(base.Params):
        min_p: float = setting(
            0.0,
            "The share of the likeliest token's probability a token needs; 0 keeps them all.",
            usual=(0.0, 0.3),
            step=0.01,
            ge=0.0,
            le=1.0,
        )

    neutral: ClassVar = {"min_p": 0.0}
    keeps_by: ClassVar = "probability"

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        min_p: float = self.params.min_p
        if min_p == 0.0:
            return scores
        threshold = scores.amax(-1, keepdim=True) + math.log(min_p)
        return torch.where(scores >= threshold, scores, -torch.inf)

    def threshold(self, given: Distribution) -> float:
        return float(self.params.min_p * math.exp(given.best))

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        bar = math.log(self.params.min_p)
        return scores.at_least(scores.best_low + bar, scores.best_high + bar)
