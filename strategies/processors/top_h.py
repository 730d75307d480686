"""Top-h: keeps the likeliest tokens while their entropy stays within a share of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from .. import base
from ..base import Info, Row, setting
from ..ops.bounded import Bounded
from ..ops.bounded_cuts import likely_entropy

HEAD = 100  # how many of the likeliest are looked at, as in transformers


class TopH(base.Processor):
    info = Info(
        id="top_h",
        title="Top-h",
        summary="Keeps the likeliest tokens while their entropy is at most a share h of that of "
        "the 100 likeliest.",
        formula=r"-\sum_{i \le k} p_i \log p_i \le h \cdot H, \quad p, H \text{ over the 100 "
        r"likeliest}",
        source="Potraghloo et al. 2025; transformers (TopHLogitsWarper)",
        url="https://arxiv.org/abs/2509.02510",
        advice="Use it in place of top-p or min-p when the temperature is high and the text should "
        "stay coherent. It is new and little compared, and it never keeps more than 100 tokens.",
    )

    class Params(base.Params):
        h: float = setting(
            1.0,
            "The share of the entropy that is kept; 1 keeps every token.",
            usual=(0.0, 1.0),
            step=0.01,
            ge=0.0,
            le=1.0,
        )

    neutral: ClassVar = {"h": 1.0}
    keeps_by: ClassVar = "probability"

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self.params.h == 1.0:
            return scores
        head = scores.topk(min(HEAD, scores.shape[-1]), dim=-1).values
        logprobs = head.log_softmax(-1)
        probs = logprobs.exp()
        growing = -(probs * logprobs.clamp(min=-1e4)).cumsum(-1)
        # Where the model is as good as certain, the entropy is 0 in float32, and the others', too.
        within = (growing <= self.params.h * growing[:, -1:]) & (probs > 0)
        within = within.sum(-1, keepdim=True)
        least = head.gather(-1, (within - 1).clamp(min=0))
        return torch.where(scores >= least, scores, -torch.inf)

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        return likely_entropy(scores, self.params.h, min(HEAD, self.context.vocab_size))
