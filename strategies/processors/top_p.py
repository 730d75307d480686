"""Top-p: the smallest set of likely tokens whose probabilities reach p (nucleus sampling)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from .. import base
from ..base import Info, Row, setting
from ..distribution import Distribution
from ..ops.bounded import Bounded
from ..ops.nucleus import least_in_nucleus


class TopP(base.Processor):
    info = Info(
        id="top_p",
        title="Top-p (nucleus)",
        summary="Keeps the likeliest tokens until their probabilities together reach p.",
        formula=r"V' = \operatorname*{arg\,min}_S \{ |S| : \textstyle\sum_{i \in S} p_i \ge p \}",
        source="Holtzman et al. 2019",
        url="https://arxiv.org/abs/1904.09751",
        advice="Use it for open-ended text: it keeps few tokens where the model is sure and many "
        "where it is not. A high temperature before it lets the tail into the nucleus, so put it "
        "first or keep the temperature low.",
    )

    class Params(base.Params):
        top_p: float = setting(
            1.0,
            "The probability the kept tokens reach, the crossing one included; 1 keeps them all.",
            usual=(0.0, 1.0),
            step=0.01,
            ge=0.0,
            le=1.0,
        )

    neutral: ClassVar = {"top_p": 1.0}
    keeps_by: ClassVar = "mass"

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        p: float = self.params.top_p
        if p == 1.0:
            return scores
        probs = scores.softmax(-1)
        return torch.where(probs >= least_in_nucleus(probs, p)[:, None], scores, -torch.inf)

    def threshold(self, given: Distribution) -> float:
        return float(self.params.top_p)

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        return scores.within(self.params.top_p)
