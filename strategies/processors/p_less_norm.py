"""P-less, normalised: the same bar, lowered to 0 where every token is as likely as the others.

It counts the tokens that are left, where the authors' code counts the vocabulary: the same where no
step before it removed any.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from .. import base
from ..base import Info, Row
from ..distribution import Distribution
from ..ops.bounded import Bounded
from ..ops.reduce import collision
from ..ops.truncation import keep_likely


class PLessNorm(base.Processor):
    info = Info(
        id="p_less_norm",
        title="P-less, normalised",
        summary="Keeps the tokens that are at least as likely as two draws are to agree, beyond "
        "what chance alone makes of it.",
        formula=r"z'_i = \begin{cases} z_i & p_i \ge \frac{n \sum_j p_j^2 - 1}{n - 1} \\ -\infty & "
        r"\text{otherwise} \end{cases} \quad n \text{ tokens left}",
        source="Tan, Wu & Howard 2026",
        url="https://openreview.net/forum?id=ItFuNJQGH4",
        advice="Use it in place of p-less where variety matters more than coherence. In a whole "
        "vocabulary its bar is hardly lower; it parts from p-less behind another truncation or in "
        "a flat distribution.",
    )

    beside: ClassVar = "top_p"
    keeps_by: ClassVar = "probability"

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        probs = scores.softmax(-1)
        count = (scores > -torch.inf).sum(-1)
        bar = (count * collision(probs) - 1) / (count - 1).clamp(min=1)
        return keep_likely(scores, probs, bar.float()[:, None])

    def threshold(self, given: Distribution) -> float:
        count = given.survivors
        agree = float(collision(given.scores[None].softmax(-1)))
        return (count * agree - 1) / max(1, count - 1)

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        (least, most), (low, high) = scores.log_total(), scores.log_squares()
        fewest, count = scores.survivors()
        agree = [np.exp(low - 2 * most), np.minimum(np.exp(high - 2 * least), 1.0)]
        # It rises with both, since it is the agreement less (1 − agreement) / (count − 1).
        bars = [
            part - (1 - part) / np.maximum(number - 1, 1)
            for part, number in zip(agree, (fewest, count), strict=True)
        ]
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = [np.log(np.maximum(bar, 0.0)) for bar in bars]
        return scores.at_least(logs[0] + least, logs[1] + most)
