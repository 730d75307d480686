"""Min-k: cuts the sorted scores at their steepest drop, weighed by how early it comes.

Algorithm 1 of the paper as the code and the tests of its proposal for vLLM have it (pull request
48142, by others than the paper's authors) and as published notes on the paper tell it; the authors'
own code (YecanLee/Mink on GitHub) could not be read. The default of ``tau`` is 3. The paper takes
the scores before any temperature: one before this step moves no drop, but divides the range that
``tau`` is held against.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from .. import base
from ..base import Info, Row, setting
from ..distribution import Distribution
from ..ops.bounded import Bounded
from ..ops.bounded_heads import by_drop

_SMALLEST = 1e-8  # range that tau is divided by, where all scores are equal
_HEAD = 256  # highest scores that are looked at first


class MinK(base.Processor):
    info = Info(
        id="min_k",
        title="Min-k",
        summary="Cuts where the sorted scores drop most, early drops counting for more.",
        formula=r"k = \max\!\left( \operatorname*{arg\,max}_i \frac{z_{(i)} - z_{(i+1)}}{i R}, "
        r"\left\lfloor \tfrac{\tau}{R} \right\rfloor \right), \quad R = z_{(1)} - z_{(V)}",
        source="Ding et al. 2026 (algorithm 1, as proposed for vLLM)",
        url="https://arxiv.org/abs/2604.11012",
        advice="Use it under a high temperature, which does not move its cut. The first drop "
        "counts most, so that it often leaves one token, and it goes by the lowest score of all: "
        "put it before every step that removes tokens.",
    )

    class Params(base.Params):
        tau: float = setting(
            3.0,
            "Where all scores are close, how many tokens are kept at least: so much over their "
            "range.",
            usual=(0.0, 10.0),
            step=0.5,
            ge=0.0,
            le=1_000.0,
        )

    keeps_by: ClassVar = "rank"
    beside: ClassVar = "top_n_sigma"

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        return torch.cat([self._cut(row[None]) for row in scores])

    def _cut(self, scores: Tensor) -> Tensor:
        """Scores ``[1, vocab]``; those that tie with the last kept are kept, too."""
        lowest = scores.topk(self._kept(scores[0])).values[:, -1:]
        return torch.where(scores >= lowest, scores, -torch.inf)

    def _kept(self, scores: Tensor) -> int:
        finite = scores[scores > -torch.inf]
        spread = max(float(finite.amax()) - float(finite.amin()), _SMALLEST)
        count, size = len(finite), min(_HEAD, len(finite))
        while True:
            head = finite.topk(size).values.double()
            drops = (head[:-1] - head[1:]) / torch.arange(1, size, device=head.device)
            best = int(drops.argmax()) if size > 1 else 0
            # No later drop is more than what is left of the range.
            rest = float(head[-1] - finite.amin()) / size
            if size == count or float(drops[best]) > rest:
                return min(count, max(best + 1, int(self.params.tau / spread)))
            size = min(count, 16 * size)

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        return by_drop(scores, self.params.tau, _SMALLEST)

    def threshold(self, given: Distribution) -> float:
        return float(self._kept(given.scores))
