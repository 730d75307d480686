"""Minimum length: bans the end of the text until enough tokens are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from .. import base
from ..base import Info, Row, setting
from ..ops.tokens import ban


class MinNewTokens(base.Processor):
    info = Info(
        id="min_new_tokens",
        title="Minimum length",
        summary="Bans the end-of-sequence tokens until count tokens are written.",
        formula=r"z'_{\mathrm{eos}} = -\infty \quad \text{while } t < n_{\min}",
        source="transformers",
        url="https://huggingface.co/docs/transformers/main_classes/text_generation",
        advice="Use it where a model ends its answers too early. A text held open past its natural "
        "end tends to ramble or repeat, so keep the count modest.",
    )

    class Params(base.Params):
        count: int = setting(
            0,
            "How many tokens must be written before the text may end; 0 lets it end at once.",
            usual=(0, 256),
            step=1,
            ge=0,
            le=100_000,
        )

    neutral: ClassVar = {"count": 0}
    each_alone: ClassVar = True

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        count: int = self.params.count
        ends = [token for token in self.context.eos_token_ids if token < scores.shape[-1]]
        written = [len(row.tokens) - row.prompt_length for row in rows]
        return ban(scores, [ends if n < count else () for n in written])

    def dead_end(self, row: Row) -> str:
        return (
            f"the text may not end before it has {self.params.count} tokens, and nothing but its "
            "end is left here."
        )
