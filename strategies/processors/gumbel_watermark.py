"""Gumbel watermark: each token is drawn with noise that a key and the last tokens decide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from .. import base
from ..base import Info, Row, Search, Strategy, setting
from ..ops.contexts import contexts, first_met, last_context, met_before
from ..ops.noise import gumbel_at, keyed


class GumbelWatermark(base.Processor):
    info = Info(
        id="gumbel_watermark",
        title="Gumbel watermark",
        summary="Draws with noise from a key and the last tokens, which a detector can compute.",
        formula=r"x_t = \operatorname*{arg\,max}_i r_i^{1/p_i}, \quad r_i \in (0, 1) \text{ from } "
        r"(k, x_{t-n}, \dots, x_{t-1}, i), \qquad z = \frac{-\sum_t \ln(1 - r_{x_t}) - N}{\sqrt N}",
        source="Aaronson 2022; Kuditipudi et al. 2023",
        url="https://scottaaronson.blog/?p=6823",
        advice="Use it to see a watermark that changes no probability: whoever does not know the "
        "key sees plain samples. One key gives a prompt one text, whatever the seed and however "
        "many are drawn, and where the model is sure there is nothing to find.",
    )

    class Params(base.Params):
        key: int = setting(
            15485863, "The secret; 0 draws with the column's own luck.", ge=0, le=2**31 - 1
        )
        ngram: int = setting(
            4, "How many tokens before decide.", usual=(1, 10), step=1, ge=1, le=32
        )

    neutral: ClassVar = {"key": 0}
    beside: ClassVar = "synthid"

    @classmethod
    def leaves_one(cls, params: Any) -> bool:
        return not cls.is_neutral(params)

    def refuse(self, chain: Sequence[Strategy]) -> None:
        search = chain[-1]
        if isinstance(search, Search) and search.width() > 1 and not self.is_neutral(self.params):
            raise ValueError(
                "the key decides every token, so that all texts of a prompt are the same and "
                f"{search.info.id} has nothing to choose from; end with one text, as sample(1), or "
                "set key to 0."
            )

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self.is_neutral(self.params):
            return scores
        return torch.stack([self._drawn(own, row) for own, row in zip(scores, rows, strict=True)])

    def _drawn(self, scores: Tensor, row: Row) -> Tensor:
        """Scores ``[vocab]`` with one token left, or as they are after what came before."""
        tokens, count = row.tokens, self.params.ngram
        if met_before(tokens, row.prompt_length, count):  # the same noise would make a loop
            return scores
        left = (scores > -torch.inf).nonzero()[:, 0]
        noisy = scores[left] + self._noise(last_context(tokens, count), left)
        winner = left[noisy.argmax()]
        out = torch.full_like(scores, -torch.inf)
        out[winner] = scores[winner]
        return out

    def _noise(self, before: tuple[int, ...], tokens: Tensor) -> Tensor:
        return gumbel_at(keyed(self.params.key, before), 0, 0, tokens)

    def measure(self, row: Row) -> Mapping[str, float]:
        """How unlikely so lucky tokens are by chance, as a z-score."""
        if self.is_neutral(self.params):
            return {}
        found = contexts(row.tokens, self.params.ngram)[row.prompt_length :]
        total, fresh = 0.0, first_met(found)
        for at in fresh:
            noise = float(self._noise(found[at], torch.tensor([row.generated[at]])))
            total -= math.log(-math.expm1(-math.exp(-noise)))
        return {"Gumbel z": (total - len(fresh)) / math.sqrt(len(fresh))} if fresh else {}
