"""SynthID: a tournament that tokens with the right secret numbers win more often than not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from .. import base
from ..base import Context, Info, Row, setting
from ..ops.contexts import contexts, first_met, last_context, met_before
from ..ops.tournament import EXAMPLE, Numbers, secret_bits, table, tournament


class SynthId(base.Processor):
    info = Info(
        id="synthid",
        title="SynthID watermark",
        summary="Holds a tournament in which secret numbers of the last tokens decide each round.",
        formula=r"p^{(l)}_i = p^{(l-1)}_i \left( 1 + g_l(i) - \sum_j g_l(j)\, p^{(l-1)}_j \right), "
        r"\quad g_l(i) \in \{0, 1\} \text{ from } (x_{t-n+1}, \dots, x_{t-1}, i, k_l)",
        source="Dathathri et al. 2024; transformers (SynthIDTextWatermarkingConfig)",
        url="https://www.nature.com/articles/s41586-024-08025-4",
        advice="Use it to see a watermark that leaves the odds of each token as they are, averaged "
        "over keys: a z above 4 is all but never chance. Where the model is sure there is nothing "
        "to decide, so that a short or a factual text shows little.",
    )

    class Params(base.Params):
        keys: Numbers = setting(
            EXAMPLE,
            "The secret numbers, one for each round; empty holds no tournament.",
            max_length=800,
            examples=["7, 8, 9", "", "1"],
        )
        ngram_len: int = setting(
            5, "How many tokens decide, the new one included.", usual=(2, 10), step=1, ge=2, le=32
        )
        sampling_table_size: int = setting(
            65536, "Of the table that a hash is looked up in.", ge=2, le=2**24
        )
        sampling_table_seed: int = setting(0, "Of the table's bits.", ge=0, le=2**31 - 1)
        context_history_size: int = setting(
            1024, "Of so many tokens back a repeated context is left as it is.", ge=1, le=100_000
        )

    neutral: ClassVar = {"keys": ""}
    beside: ClassVar = "watermark"

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self._keys = torch.tensor([int(key) for key in params.keys.split(",") if key])

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self.is_neutral(self.params):
            return scores
        return torch.stack([self._marked(own, row) for own, row in zip(scores, rows, strict=True)])

    def _marked(self, scores: Tensor, row: Row) -> Tensor:
        tokens, count = row.generated, self.params.ngram_len - 1
        oldest = max(0, len(tokens) - self.params.context_history_size)
        if met_before(tokens, oldest, count):
            return scores
        left = (scores > -torch.inf).nonzero()[:, 0]
        bits = self._bits([last_context(tokens, count)], left.cpu()).to(scores.device)
        probs = tournament(scores[left].softmax(-1), bits)
        out = torch.full_like(scores, -torch.inf)
        # Rounding may leave nothing of a token that was hardly possible.
        out[left] = probs.clamp(min=torch.finfo(probs.dtype).tiny).log()
        return out

    def _bits(self, before: Sequence[tuple[int, ...]], tokens: Tensor) -> Tensor:
        drawn = table(self.params.sampling_table_size, self.params.sampling_table_seed)
        return secret_bits(before, tokens, self._keys, drawn)

    def measure(self, row: Row) -> Mapping[str, float]:
        """The mean of the bits that were won, and its z-score against chance, which is a half."""
        if not row.generated or self.is_neutral(self.params):
            return {}
        seen = contexts(row.generated, self.params.ngram_len - 1)
        fresh = first_met(seen, self.params.context_history_size)
        tokens = torch.tensor([row.generated[i] for i in fresh])
        bits = self._bits([seen[i] for i in fresh], tokens)
        mean = float(bits.mean())
        return {"SynthID mean": mean, "SynthID z": (mean - 0.5) * 2 * math.sqrt(bits.numel())}
