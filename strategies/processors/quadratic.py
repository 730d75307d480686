"""Quadratic sampling: bends the scores by their distance from the highest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from .. import base
from ..base import Info, Row, setting
from ..ops.bounded import Bounded
from ..ops.bounded_whole import bent


class Quadratic(base.Processor):
    info = Info(
        id="quadratic",
        title="Quadratic (smooth sampling)",
        summary="Evens out the scores near the highest and pushes the far ones further down.",
        formula=r"z'_i = z_{\max} - f \, (k d_i^2 - s d_i^3), \quad d_i = z_i - z_{\max}, \; k = "
        r"\tfrac{3 - c}{2}, \; s = \tfrac{c - 1}{2}",
        source="text-generation-webui (kalomaze 2024)",
        url="https://github.com/oobabooga/text-generation-webui/pull/5551",
        advice="Use it in place of temperature and truncation together, with a factor of 0.2 to "
        "0.3, when the best words should be mixed and the worst kept out. Its effect depends on "
        "the scale of a model's scores, so settings do not carry over.",
    )

    class Params(base.Params):
        factor: float = setting(
            0.0,
            "How strongly the scores bend, more being surer; 0 changes nothing.",
            usual=(0.0, 2.0),
            step=0.01,
            ge=0.0,
            le=10.0,
        )
        curve: float = setting(
            1.0,
            "From 1, a square alone, to 3, a cube alone, which falls off more steeply.",
            usual=(1.0, 3.0),
            step=0.1,
            ge=1.0,
            le=3.0,
        )

    neutral: ClassVar = {"factor": 0.0}
    beside: ClassVar = "temperature"

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self.params.factor == 0.0:
            return scores
        best = scores.amax(-1, keepdim=True)
        away = (scores - best).clamp(min=-1e9)  # whose cube float32 still holds
        return torch.where(scores > -torch.inf, best + self._moved(away), -torch.inf)

    def _moved(self, away: Any) -> Any:
        """How far below the highest a score lies that was ``away`` from it, both 0 or less."""
        square, cube = (3 - self.params.curve) / 2, (self.params.curve - 1) / 2
        return self.params.factor * away * away * (cube * away - square)

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        return bent(scores, self._moved)
