"""Frequency penalty: takes an amount off a token's score for each time it has appeared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from .. import base
from ..base import Info, Row, setting
from ..ops.copies import copied
from ..ops.tokens import WINDOW, seen


class FrequencyPenalty(base.Processor):
    info = Info(
        id="frequency_penalty",
        title="Frequency penalty",
        summary="Takes an amount off a token's score for each time it has appeared.",
        formula=r"z'_i = z_i - b \cdot c_i",
        source="OpenAI API",
        url="https://platform.openai.com/docs/api-reference/chat/create",
        advice="Use it against words that come back too often, as it grows with every repeat. In a "
        "long text it ends up punishing the common words that every sentence needs.",
    )

    class Params(base.Params):
        penalty: float = setting(
            0.0,
            "What is taken off per appearance; 0 changes nothing, below 0 invites repeats.",
            usual=(-2.0, 2.0),
            step=0.1,
            ge=-10.0,
            le=10.0,
        )
        prompt: bool = setting(False, "Whether appearances in the prompt count.")
        window: int = WINDOW

    neutral: ClassVar = {"penalty": 0.0}
    each_alone: ClassVar = True

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        penalty: float = self.params.penalty
        if penalty == 0.0:
            return scores
        out, vocab = copied(scores), scores.shape[-1]
        for i, row in enumerate(rows):
            counts = seen(
                row, scores, prompt=self.params.prompt, window=self.params.window
            ).bincount(minlength=vocab)
            out[i] -= penalty * counts
        return out
