"""Watermark: favours, after each token, a secret part of the vocabulary a detector can count."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from .. import base
from ..base import Info, Row, setting


class Watermark(base.Processor):
    info = Info(
        id="watermark",
        title="Watermark",
        summary="Adds to the scores of a green list that the token before and a key decide.",
        formula=r"z'_i = z_i + \delta \;\; \text{if } i \in G(x_{t-1}), \qquad z = \frac{g - "
        r"\gamma N}{\sqrt{N \gamma (1 - \gamma)}}",
        source="Kirchenbauer et al. 2023; transformers (lefthash)",
        url="https://arxiv.org/abs/2301.10226",
        advice="Use it to see how a text can be marked and found again: a z above 4 is all but "
        "never chance. It changes which words are chosen, weakly where the model is sure, and a "
        "thorough rewording removes it.",
    )

    class Params(base.Params):
        greenlist_ratio: float = setting(
            0.25,
            "The share of the vocabulary that is green after each token.",
            usual=(0.05, 0.95),
            step=0.05,
            ge=0.01,
            le=0.99,
        )
        bias: float = setting(
            2.0,
            "What is added to the scores of green tokens; 0 changes nothing and only measures.",
            usual=(0.0, 10.0),
            step=0.1,
            ge=0.0,
            le=100.0,
        )
        hashing_key: int = setting(
            15485863, "The secret that the green lists are made from.", ge=1, le=2**31 - 1
        )

    neutral: ClassVar = {"bias": 0.0}
    each_alone: ClassVar = True

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self.params.bias == 0.0:
            return scores
        green = torch.stack([self._green(row.tokens[-1]) for row in rows]).to(scores.device)
        return torch.where(green, scores + self.params.bias, scores)

    def measure(self, row: Row) -> Mapping[str, float]:
        """The share of green tokens in what was written, and its z-score against chance."""
        before = row.tokens[row.prompt_length - 1 : -1]
        count, share = len(row.generated), self.params.greenlist_ratio
        if count == 0:
            return {}
        pairs = zip(before, row.generated, strict=True)
        green = sum(bool(self._green(last)[token]) for last, token in pairs)
        z = (green - share * count) / math.sqrt(count * share * (1 - share))
        return {"green tokens": green / count, "watermark z": z}

    def _green(self, token: int) -> Tensor:
        return _green(
            self.context.vocab_size, self.params.greenlist_ratio, self.params.hashing_key, token
        )


@lru_cache(maxsize=512)  # a permutation of the vocabulary takes half a millisecond
def _green(vocab: int, share: float, key: int, token: int) -> Tensor:
    """Which tokens are green after ``token``, bool ``[vocab]``; always drawn on the CPU."""
    generator = torch.Generator().manual_seed(key * token % (2**64 - 1))
    green = torch.zeros(vocab, dtype=torch.bool)
    green[torch.randperm(vocab, generator=generator)[: int(vocab * share)]] = True
    return green
