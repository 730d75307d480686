"""Classifier-free guidance: moves the scores away from those after a second prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from .. import base
from ..base import Info, Row, SecondPrompt, setting


class Guidance(base.Processor):
    info = Info(
        id="guidance",
        title="Classifier-free guidance",
        summary="Moves the scores away from what the model would say after another prompt.",
        formula=r"z'_i = \log u_i + \gamma\,(\log p_i - \log u_i)",
        source="Sanchez et al. 2023; transformers (guidance_scale)",
        url="https://arxiv.org/abs/2306.17806",
        advice="Use it to make a text keep closer to its prompt, or away from a negative one. The "
        "model reads a second row for it, and a large scale makes text stilted.",
    )

    class Params(base.Params):
        scale: float = setting(
            1.0,
            "How far to move; 1 stays, more moves away from the second prompt.",
            usual=(1.0, 3.0),
            step=0.1,
            ge=0.0,
            le=20.0,
        )
        negative_prompt: str = setting(
            "",
            "The second prompt, begun as the prompt is and in its chat template, where it is in "
            "one; empty is the last token of the prompt alone.",
            max_length=400,
        )

    neutral: ClassVar = {"scale": 1.0}  # whatever the prompt

    def needs(self, prompt: Sequence[int]) -> SecondPrompt | None:
        if self.params.scale == 1.0:
            return None
        text, encode = self.params.negative_prompt, self.context.encode_prompt
        tokens = (encode or self.context.encode)(text) if text else ()
        return SecondPrompt(tuple(tokens or prompt[-1:]))

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self.params.scale == 1.0:
            return scores
        given = torch.stack([row.given for row in rows if row.given is not None])
        away, here = given.log_softmax(-1), scores.log_softmax(-1)
        moved = away + self.params.scale * (here - away)
        return torch.where(scores > -torch.inf, moved, -torch.inf)
