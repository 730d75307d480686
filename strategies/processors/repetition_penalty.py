"""Repetition penalty: scales down the score of every token already in the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from .. import base
from ..base import Info, Row, setting
from ..ops.copies import copied
from ..ops.tokens import WINDOW, seen


class RepetitionPenalty(base.Processor):
    info = Info(
        id="repetition_penalty",
        title="Repetition penalty",
        summary="Makes every token already in the text less likely, once, however often it came.",
        formula=r"z'_i = \begin{cases} z_i / r & z_i > 0 \\ z_i \cdot r & z_i \le 0 \end{cases}"
        r" \quad \text{for seen } i",
        source="Keskar et al. 2019 (CTRL)",
        url="https://arxiv.org/abs/1909.05858",
        advice="Use about 1.1 to 1.3 when a small model repeats itself. It punishes needed words "
        "too (names, 'the', brackets in code), so keep it low, or off where nothing loops.",
    )

    class Params(base.Params):
        penalty: float = setting(
            1.0,
            "How strongly: 1 changes nothing, above 1 discourages repeats, below 1 invites them.",
            usual=(1.0, 2.0),
            step=0.05,
            ge=0.01,
            le=10.0,
        )
        prompt: bool = setting(True, "Whether the prompt's tokens count as seen.")
        window: int = WINDOW

    neutral: ClassVar = {"penalty": 1.0}
    each_alone: ClassVar = True

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        penalty: float = self.params.penalty
        if penalty == 1.0:
            return scores
        out = copied(scores)
        for i, row in enumerate(rows):
            ids = seen(row, scores, prompt=self.params.prompt, window=self.params.window)
            old = scores[i, ids]
            out[i, ids] = torch.where(old > 0, old / penalty, old * penalty)
        return out
