"""Presence penalty: takes a fixed amount off the score of every token that has appeared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from .. import base
from ..base import Info, Row, setting
from ..ops.copies import copied
from ..ops.tokens import WINDOW, seen


class PresencePenalty(base.Processor):
    info = Info(
        id="presence_penalty",
        title="Presence penalty",
        summary="Takes a fixed amount off every token that has appeared, once however often.",
        formula=r"z'_i = z_i - a \cdot [\,c_i > 0\,]",
        source="OpenAI API",
        url="https://platform.openai.com/docs/api-reference/chat/create",
        advice="Use it to push a text on to new words and subjects. It does not grow with each "
        "repeat, so against loops frequency penalty or no-repeat n-gram does more.",
    )

    class Params(base.Params):
        penalty: float = setting(
            0.0,
            "What is taken off the score; 0 changes nothing, below 0 invites repeats.",
            usual=(-2.0, 2.0),
            step=0.1,
            ge=-10.0,
            le=10.0,
        )
        prompt: bool = setting(False, "Whether the prompt's tokens count as having appeared.")
        window: int = WINDOW

    neutral: ClassVar = {"penalty": 0.0}
    each_alone: ClassVar = True

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        penalty: float = self.params.penalty
        if penalty == 0.0:
            return scores
        out = copied(scores)
        for i, row in enumerate(rows):
            ids = seen(row, scores, prompt=self.params.prompt, window=self.params.window)
            out[i, ids] = scores[i, ids] - penalty
        return out
