"""Logit bias: adds a chosen amount to the scores of chosen tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from .. import base
from ..base import Context, Info, Row, setting
from ..ops.copies import copied
from ..ops.spellings import Text, spellings
from ..ops.tokens import completes


class LogitBias(base.Processor):
    info = Info(
        id="logit_bias",
        title="Logit bias",
        summary="Adds an amount of your own to the scores of tokens you name.",
        formula=r"z'_i = z_i + b_i",
        source="OpenAI API; for several tokens in a row, transformers (sequence_bias)",
        url="https://platform.openai.com/docs/api-reference/chat/create",
        advice="Use it to nudge single words up or down; -100 all but bans one where others are "
        "left. A text is biased with and without a space before it; capitalised, or cut into other "
        "pieces, it has other tokens and stays free.",
    )

    class Params(base.Params):
        bias: Mapping[Text, Annotated[float, Field(ge=-100, le=100)]] = setting(
            {},
            "What is added, by token: digits are a token's id, anything else is a text, at the "
            "beginning, after a space or within a word; its last token is biased where its others "
            "stand before it.",
            max_length=300,
        )

    neutral: ClassVar = {"bias": {}}
    each_alone: ClassVar = True

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self.biases = [
            (sequence, bias)
            for name, bias in params.bias.items()
            for sequence in self._sequences(name)
            if sequence[-1] < context.vocab_size
        ]

    def _sequences(self, name: str) -> list[tuple[int, ...]]:
        if not (name.isascii() and name.isdigit()):
            return spellings(self.context, name)
        if int(name) >= self.context.vocab_size:
            raise ValueError(
                f"bias names the token {name}, but this model's last is "
                f"{self.context.vocab_size - 1}."
            )
        return [(int(name),)]

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if not self.biases:
            return scores
        out = copied(scores)
        for i, row in enumerate(rows):
            here = [(s[-1], bias) for s, bias in self.biases if completes(row, s)]
            tokens, biases = zip(*here, strict=True) if here else ((), ())
            ids = torch.tensor(tokens, dtype=torch.int64, device=scores.device)
            out[i].index_add_(0, ids, torch.tensor(biases, device=scores.device).float())
        return out
