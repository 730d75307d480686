"""Adaptive-p: aims at tokens of some probability, which the last ones move up or down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from .. import base
from ..base import Info, Observed, Row, Strategy, setting
from ..ops.bounded import Bounded
from ..ops.bounded_states import aimed

WIDTH, PEAK, SHARPNESS = 0.3, 5.0, 10.0  # llama.cpp's; no settings there either


class AdaptiveP(base.Processor):
    info = Info(
        id="adaptive_p",
        title="Adaptive-p",
        summary="Favours the tokens near a target probability, which moves against what the last "
        "ones had.",
        formula=r"z'_i = 5 - 10 \, \frac{d_i^2}{1 + d_i}, \quad d_i = \frac{|p_i - \tau|}{0.3}, "
        r"\quad \tau = \min(\max(2t - m, 0), 1), \quad m \leftarrow \delta m + (1 - \delta) p_x",
        source="llama.cpp, pull request 17927",
        url="https://github.com/ggml-org/llama.cpp/pull/17927",
        advice="Use it last, for stories, behind a mild truncation such as min-p 0.05, since it "
        "lifts whatever lies near the target. It passes over the likeliest token wherever that is "
        "surer than the target, so keep it away from facts and code.",
    )

    class Params(base.Params):
        target: float = setting(
            0.5,
            "The probability the written tokens shall have on average; lower is more surprising, "
            "and below 0 changes nothing.",
            usual=(0.3, 0.7),
            step=0.05,
            ge=-1.0,
            le=1.0,
        )
        decay: float = setting(
            0.9,
            "How much of its memory a token leaves: about the last 1 / (1 - decay) tokens count.",
            usual=(0.0, 0.99),
            step=0.01,
            ge=0.0,
            le=0.99,
        )

    neutral: ClassVar = {"target": -1.0}
    stateful = True
    observes: ClassVar[Observed] = "given"

    @classmethod
    def is_neutral(cls, params: Any) -> bool:
        return bool(params.target < 0)

    def refuse(self, chain: Sequence[Strategy]) -> None:
        if chain.index(self) != len(chain) - 2 and not self.is_neutral(self.params):
            raise ValueError(
                "it comes last of the processors, since nothing is left of their probabilities "
                "behind it; move it to the end."
            )

    def initial_state(self) -> float:  # the mean of the chosen probabilities
        return float(self.params.target)

    def observe(self, state: Any, token: int, logprob: float) -> float:
        return float(state + (1 - self.params.decay) * (math.exp(logprob) - state))

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self.is_neutral(self.params):
            return scores
        aims = [self._aim(row.state) for row in rows]
        apart = scores.softmax(-1) - torch.tensor(aims, device=scores.device)[:, None]
        return torch.where(scores > -torch.inf, self._bent(apart.abs()), -torch.inf)

    def _aim(self, state: float) -> float:
        return min(max(2 * float(self.params.target) - state, 0.0), 1.0)

    def _bent(self, apart: Any) -> Any:
        far = apart / WIDTH
        return PEAK - SHARPNESS * far * far / (1 + far)

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        return aimed(scores, rows, self.initial_state(), self.observe, self._aim, self._bent)
