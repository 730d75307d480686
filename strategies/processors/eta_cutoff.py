"""Eta cutoff: removes tokens below a probability that falls where the model is unsure."""

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
from ..ops.reduce import entropy
from ..ops.truncation import keep_likely


class EtaCutoff(base.Processor):
    info = Info(
        id="eta_cutoff",
        title="Eta cutoff",
        summary="Removes tokens less likely than a bar that is lower where the model is unsure.",
        formula=r"z'_i = \begin{cases} z_i & p_i \ge \min(\varepsilon, \sqrt{\varepsilon} \, "
        r"e^{-H}) \\ -\infty & \text{otherwise} \end{cases}",
        source="Hewitt, Manning & Liang 2022",
        url="https://arxiv.org/abs/2210.15191",
        advice="Use it for long open-ended text, where it cuts less of a flat distribution than "
        "any fixed bar. At its usual values it removes little, so it does not replace a "
        "temperature.",
    )

    class Params(base.Params):
        epsilon: float = setting(
            0.0,
            "The highest the bar may be, from which it falls with the entropy; 0 keeps them all.",
            usual=(0.0, 0.01),
            step=0.0001,
            ge=0.0,
            le=1.0,
        )

    neutral: ClassVar = {"epsilon": 0.0}
    keeps_by: ClassVar = "probability"

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        epsilon: float = self.params.epsilon
        if epsilon == 0.0:
            return scores
        logprobs = scores.log_softmax(-1)
        probs = logprobs.exp()
        unsure = [math.sqrt(epsilon) * math.exp(-h) for h in entropy(probs, logprobs).tolist()]
        bar = torch.tensor([min(epsilon, eta) for eta in unsure], device=scores.device)
        return keep_likely(scores, probs, bar[:, None])

    def threshold(self, given: Distribution) -> float:
        epsilon: float = self.params.epsilon
        return min(epsilon, math.sqrt(epsilon) * math.exp(-given.entropy))

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        epsilon: float = self.params.epsilon
        bars = [
            (math.log(epsilon) / 2 - unsure).clip(max=math.log(epsilon)) + total
            for unsure, total in zip(reversed(scores.entropy()), scores.log_total(), strict=True)
        ]
        return scores.at_least(*bars)
