"""Top-k: only the k likeliest tokens stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from .. import base
from ..base import Info, Row, setting
from ..distribution import Distribution
from ..ops.bounded import Bounded
from ..ops.topk import topk


class TopK(base.Processor):
    info = Info(
        id="top_k",
        title="Top-k",
        summary="Keeps the k likeliest tokens and removes the rest.",
        formula=r"z'_i = \begin{cases} z_i & z_i \ge z_{(k)} \\ -\infty & \text{otherwise} "
        r"\end{cases}",
        source="Fan, Lewis & Dauphin 2018",
        url="https://arxiv.org/abs/1805.04833",
        advice="Use it as a simple guard against very unlikely tokens. One k is too wide where "
        "the model is sure and too narrow where it is not; top-p and min-p adapt to that.",
    )

    class Params(base.Params):
        top_k: int = setting(
            0,
            "How many tokens stay, ties with the last one included; 0 keeps them all.",
            usual=(0, 200),
            step=1,
            ge=0,
            le=1_000_000,
        )

    neutral: ClassVar = {"top_k": 0}
    keeps_by: ClassVar = "rank"

    @classmethod
    def leaves_one(cls, params: Any) -> bool:
        return bool(params.top_k == 1)

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        k: int = self.params.top_k
        if k == 0 or k >= scores.shape[-1]:
            return scores
        threshold = topk(scores, k)[0][:, -1:]
        return torch.where(scores >= threshold, scores, -torch.inf)

    def threshold(self, given: Distribution) -> float:
        return float(self.params.top_k)

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        return scores.likeliest(self.params.top_k)
