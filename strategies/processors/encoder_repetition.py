"""Encoder repetition: makes the prompt's tokens likelier, so that the text keeps to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from .. import base
from ..base import Info, Row, setting
from ..ops.copies import copied
from ..ops.tokens import seen


class EncoderRepetition(base.Processor):
    info = Info(
        id="encoder_repetition",
        title="Encoder repetition",
        summary="Makes every token of the prompt likelier, the reverse of a repetition penalty.",
        formula=r"z'_i = \begin{cases} z_i \cdot r & z_i \ge 0 \\ z_i / r & z_i < 0 \end{cases}"
        r" \quad \text{for } i \text{ in the prompt}",
        source="transformers (encoder_repetition_penalty)",
        url="https://huggingface.co/docs/transformers/internal/generation_utils",
        advice="Use about 1.05 to 1.3 where the answer must keep to names and words of the prompt, "
        "as in a summary. It raises its punctuation and its instructions as well, so a high value "
        "repeats the prompt.",
    )

    class Params(base.Params):
        penalty: float = setting(
            1.0,
            "How strongly: above 1 the prompt's tokens are likelier, below 1 they are avoided.",
            usual=(0.5, 2.0),
            step=0.05,
            ge=0.01,
            le=10.0,
        )

    neutral: ClassVar = {"penalty": 1.0}
    each_alone: ClassVar = True

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self.params.penalty == 1.0:
            return scores
        weaker = 1 / self.params.penalty
        out = copied(scores)
        for i, row in enumerate(rows):
            ids = seen(Row(row.prompt, row.prompt_length), scores, prompt=True)
            old = scores[i, ids]
            out[i, ids] = torch.where(old < 0, old * weaker, old / weaker)
        return out
