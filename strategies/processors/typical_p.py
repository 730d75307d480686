"""Typical-p: keeps the tokens whose surprise is nearest to the one expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from .. import base
from ..base import Info, Row, setting
from ..ops.bounded import Bounded
from ..ops.bounded_cuts import typical
from ..ops.nucleus import farthest_in_nucleus
from ..ops.reduce import entropy


class TypicalP(base.Processor):
    info = Info(
        id="typical_p",
        title="Typical-p",
        summary="Keeps the tokens about as surprising as the distribution is on average, up to a "
        "probability of p.",
        formula=r"V' = \operatorname*{arg\,min}_S \{ \textstyle\sum_{i \in S} "
        r"\lvert -\log p_i - H \rvert : \sum_{i \in S} p_i \ge \tau \}",
        source="Meister et al. 2022",
        url="https://arxiv.org/abs/2202.00666",
        advice="Use it for stories, where always taking the likeliest word reads flat. It may drop "
        "that word altogether, so keep it away from facts and code.",
    )

    class Params(base.Params):
        typical_p: float = setting(
            1.0,
            "The probability the kept tokens reach, the crossing one included; 1 keeps them all.",
            usual=(0.0, 1.0),
            step=0.01,
            ge=0.0,
            le=1.0,
        )

    neutral: ClassVar = {"typical_p": 1.0}
    keeps_by: ClassVar = "typicality"

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self.params.typical_p == 1.0:
            return scores
        logprobs = scores.log_softmax(-1)
        probs = logprobs.exp()
        distance = (logprobs + entropy(probs, logprobs)[:, None]).abs()
        farthest = farthest_in_nucleus(distance, probs, self.params.typical_p)
        return torch.where(distance <= farthest[:, None], scores, -torch.inf)

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        return typical(scores, self.params.typical_p)
