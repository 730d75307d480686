"""Dynamic temperature: hot where the model is unsure, cool where it is sure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from .. import base
from ..base import Info, Row, setting
from ..ops.bounded import Bounded
from ..ops.reduce import entropy
from .temperature import SMALLEST


class DynamicTemperature(base.Processor):
    info = Info(
        id="dynamic_temperature",
        title="Dynamic temperature",
        summary="Divides the scores by a temperature between low and high that grows with the "
        "entropy.",
        formula=r"z'_i = z_i / T, \quad T = T_{\mathrm{low}} + (T_{\mathrm{high}} - "
        r"T_{\mathrm{low}}) \left( \frac{H}{\log n} \right)^{e}",
        source="koboldcpp (kalomaze 2024)",
        url="https://github.com/LostRuins/koboldcpp/pull/600",
        advice="Use it for variety where many words fit without risking the places where one does. "
        "The entropy of a whole vocabulary is seldom near its maximum, so put a truncation before "
        "it or set high generously.",
    )

    class Params(base.Params):
        low: float = setting(
            1.0,
            "The temperature where the model is quite sure.",
            usual=(0.0, 2.0),
            step=0.05,
            ge=0.0,
            le=5.0,
        )
        high: float = setting(
            1.0,
            "The temperature where every token is as likely as the others.",
            usual=(0.0, 5.0),
            step=0.05,
            ge=0.0,
            le=5.0,
        )
        exponent: float = setting(
            1.0,
            "The power of the normalised entropy: above 1 stays low for longer.",
            usual=(0.1, 3.0),
            step=0.1,
            ge=0.0,
            le=10.0,
        )

    neutral: ClassVar = {"low": 1.0, "high": 1.0}
    beside: ClassVar = "temperature"

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self.is_neutral(self.params):
            return scores
        counts = (scores > -torch.inf).sum(-1).tolist()
        logprobs = scores.log_softmax(-1)
        unsure = entropy(logprobs.exp(), logprobs).tolist()
        heats = [self._heat(h, n) for h, n in zip(unsure, counts, strict=True)]
        return scores / torch.tensor(heats, device=scores.device)[:, None]

    def _heat(self, unsure: float, count: int) -> float:
        low, high = self.params.low, self.params.high
        share = min(max(unsure, 0.0) / math.log(count), 1.0) if count > 1 else 0.0
        return float(max(low + (high - low) * share**self.params.exponent, SMALLEST))

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        unsure, counts = scores.entropy(), scores.survivors()
        heats = np.array(
            [
                [self._heat(float(h), int(n)) for h, n in zip(nats[:, 0], left[:, 0], strict=True)]
                for nats, left in zip(unsure, reversed(counts), strict=True)
            ]
        )
        low, high = heats.min(0)[:, None], heats.max(0)[:, None]
        return scores.scaled_within(1 / high, 1 / low)
