"""Exponential length: the end of the text becomes likelier with every token past a length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import base
from ..base import Info, Row, setting
from ..ops.bounded import Bounded
from ..ops.copies import copied

_MOST = 1e30  # what is added at the most, so that a score stays a number


class ExponentialLength(base.Processor):
    info = Info(
        id="exponential_length",
        title="Exponential length",
        summary="Raises the score of the end of the text faster and faster once start tokens are "
        "written.",
        formula=r"z'_{\mathrm{eos}} = z_{\mathrm{eos}} + |z_{\mathrm{eos}}| "
        r"\left( f^{\,t - s} - 1 \right) \quad \text{for } t > s",
        source="transformers (exponential_decay_length_penalty)",
        url="https://huggingface.co/docs/transformers/internal/generation_utils",
        advice="Use it where texts should end by themselves near a length, where a limit would cut "
        "them. It acts on the size of a score, so a model whose end scores near 0 hardly notices, "
        "and a high factor ends texts within a sentence.",
    )

    class Params(base.Params):
        factor: float = setting(
            1.0,
            "By how much the size of the end's score grows with each token; 1 changes nothing.",
            usual=(1.0, 2.0),
            step=0.01,
            ge=1.0,
            le=10.0,
        )
        start: int = setting(
            0,
            "How many tokens are written before it begins.",
            usual=(0, 256),
            step=1,
            ge=0,
            le=100_000,
        )

    neutral: ClassVar = {"factor": 1.0}

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        factor: float = self.params.factor
        ends = [token for token in self.context.eos_token_ids if token < scores.shape[-1]]
        past = [len(row.tokens) - row.prompt_length - self.params.start for row in rows]
        if factor == 1.0 or not ends or max(past) <= 0:
            return scores
        out = copied(scores)
        for i, count in enumerate(past):
            if count > 0:
                growth = math.exp(min(count * math.log(factor), 80.0)) - 1
                old = scores[i, ends]
                added = (old.abs() * growth).clamp(max=_MOST).masked_fill(old.isinf(), 0.0)
                out[i, ends] = old + added
        return out

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        def change(both: NDArray[np.float32], row: int) -> NDArray[np.float32]:
            ends = self(torch.from_numpy(both), [rows[row]] * 2).numpy()
            low = ends.min(0)
            # The size of a score that may be 0 is least there.
            low = np.where((both[0] < 0) & (both[1] > 0), np.minimum(low, 0.0), low)
            return np.stack([low, ends.max(0)])

        return scores.each(change, self.context.vocab_size)
