"""Tail-free sampling: cuts where the sorted probabilities stop bending."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from .. import base
from ..base import Info, Row, setting
from ..ops.bounded import Bounded
from ..ops.bounded_heads import by_bends
from ..ops.nucleus import HEAD


class TailFree(base.Processor):
    info = Info(
        id="tail_free",
        title="Tail-free",
        summary="Sorts the probabilities and cuts the flat tail, where their curve hardly bends.",
        formula=r"\sum_{i \le k} \frac{\lvert \Delta^2 p_{(i)} \rvert}{\sum_j \lvert \Delta^2 "
        r"p_{(j)} \rvert} \le z",
        source="Phénix & Egan 2019",
        url="https://www.trentonbricken.com/Tail-Free-Sampling/",
        advice="Use it to find the end of the likely words by the shape of the distribution rather "
        "than by a mass. llama.cpp has since removed it, so choose it to compare.",
    )

    class Params(base.Params):
        z: float = setting(
            1.0,
            "The share of the bending that is kept; 1 keeps every token.",
            usual=(0.0, 1.0),
            step=0.01,
            ge=0.0,
            le=1.0,
        )

    neutral: ClassVar = {"z": 1.0}
    keeps_by: ClassVar = "probability"
    beside: ClassVar = "typical_p"

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self.params.z == 1.0:
            return scores
        probs = scores.softmax(-1)
        alive = (scores > -torch.inf).sum(-1).tolist()
        falling = probs.topk(min(HEAD, scores.shape[-1]), dim=-1).values
        least = [self._least(probs[i], falling[i], n) for i, n in enumerate(alive)]
        return torch.where(probs >= torch.stack(least)[:, None], scores, -torch.inf)

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        return by_bends(scores, self.params.z)

    def _least(self, probs: Tensor, head: Tensor, alive: int) -> Tensor:
        """The least probability kept of a row ``[vocab]`` of which the ``head`` is sorted."""
        if alive <= 2:
            return head[alive - 1]
        head = head[:alive]
        bends = head.double().diff().diff().abs().cumsum(0)
        # What the tail may still bend is at most twice the height it begins at.
        whole = len(head) == alive
        most = bends[-1] + head.new_tensor([0.0, 0.0 if whole else 2 * float(head[-2])])
        low, high = torch.searchsorted(bends, self.params.z * most, right=True).tolist()
        if whole or low == high < len(bends):
            return head[low]
        ordered = probs.cpu().clone()
        ordered.numpy().sort()  # several times as fast as torch's
        return self._least(probs, ordered.flip(0)[:alive].to(probs.device), alive)
