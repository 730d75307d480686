"""Top-n sigma: keeps the scores within n standard deviations of the highest."""

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
from ..ops.bounded_cuts import deviation as spread
from ..ops.reduce import deviation


class TopNSigma(base.Processor):
    info = Info(
        id="top_n_sigma",
        title="Top-n sigma",
        summary="Keeps the tokens whose scores lie within n standard deviations of the highest.",
        formula=r"z'_i = \begin{cases} z_i & z_i \ge \max_j z_j - n \sigma \\ -\infty & "
        r"\text{otherwise} \end{cases}",
        source="Tang et al. 2024",
        url="https://arxiv.org/abs/2411.07641",
        advice="Use it under a high temperature, since the set it keeps is the same at every one. "
        "It reads the noise of the whole vocabulary, so put it before every step that removes "
        "tokens.",
    )

    class Params(base.Params):
        n: float = setting(
            0.0,
            "How many standard deviations below the highest score a token may lie; 0 keeps all.",
            usual=(0.0, 3.0),
            step=0.05,
            ge=0.0,
            le=100.0,
        )

    neutral: ClassVar = {"n": 0.0}
    keeps_by: ClassVar = "probability"
    beside: ClassVar = "temperature"

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self.params.n == 0.0:
            return scores
        bars = scores.amax(-1).double() - self.params.n * deviation(scores)
        return torch.where(scores >= bars.float()[:, None], scores, -torch.inf)

    def threshold(self, given: Distribution) -> float:
        whole = given.survivors == len(given.scores)  # then torch's own is some ten times as fast
        sigma = given.scores.std(correction=0) if whole else deviation(given.scores[None])
        return math.exp(given.best - self.params.n * float(sigma))

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        low, high = spread(scores)
        n: float = self.params.n
        return scores.at_least(scores.best_low - n * high, scores.best_high - n * low)
