"""Temperature: sharpens or flattens the distribution before the draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from .. import base
from ..base import Info, Row, setting
from ..ops.bounded import Bounded

# Below this the division overflows float32 before it changes any choice; vLLM's bound.
SMALLEST = 1e-5


class Temperature(base.Processor):
    info = Info(
        id="temperature",
        title="Temperature",
        summary="Divides the scores by T: below 1 the likely tokens gain, above 1 the unlikely.",
        formula=r"z'_i = z_i / T",
        source="Ackley, Hinton & Sejnowski 1985",
        url="https://doi.org/10.1207/s15516709cog0901_7",
        advice="Lower it for facts, code and other text with one right answer; raise it for "
        "variety. On its own a high temperature also lifts the long tail of nonsense, so pair it "
        "with a truncation such as top-p or min-p.",
    )

    class Params(base.Params):
        temperature: float = setting(
            1.0,
            "What the scores are divided by; 1 leaves them as they are, 0 takes the likeliest.",
            usual=(0.0, 2.0),
            step=0.05,
            ge=0.0,
            le=5.0,
        )

    neutral: ClassVar = {"temperature": 1.0}

    @classmethod
    def leaves_one(cls, params: Any) -> bool:
        return bool(params.temperature < SMALLEST)

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        temperature: float = self.params.temperature
        if temperature == 1.0:
            return scores
        if temperature < SMALLEST:
            best = scores.argmax(-1, keepdim=True)
            kept = torch.full_like(scores, -torch.inf)
            return kept.scatter_(-1, best, scores.gather(-1, best))
        return scores / temperature

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        if self.params.temperature < SMALLEST:
            return scores.best_alone()
        return scores.scaled(1.0 / self.params.temperature)
