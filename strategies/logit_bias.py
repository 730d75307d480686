"""Logit bias: adds a chosen amount to the scores of chosen tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from . import base
from .base import Context, Info, Row, setting
from .tokens import Text, completes


class LogitBias(base.Processor):
    info = Info(
        id="logit_bias",
        title="Logit bias",
        summary="Adds an amount of your own to the scores of tokens you name.",
        formula=r"z'_i = z_i + b_i",
        source="OpenAI API; for several tokens in a row, transformers (sequence_bias)",
        url="https://platform.openai.com/docs/api-reference/chat/create",
        advice="Use it to nudge single words up or down, or to ban one with -100. A word has "
        "several tokens (with a space before it, capitalised, in pieces), so a bias on one of "
        "them leaves the others free.",
    )

    class Params(base.Params):
        bias: Mapping[Text, Annotated[float, Field(ge=-100, le=100)]] = setting(
            {},
            "What is added, by token: digits are a token's id, anything else is a text, whose last "
            "token is biased where the others stand before it.",
            max_length=300,
        )

    neutral: ClassVar = {"bias": {}}

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self.biases = [
            (sequence, bias)
            for name, bias in params.bias.items()
            if (sequence := self._sequence(name)) and sequence[-1] < context.vocab_size
        ]

    def _sequence(self, name: str) -> tuple[int, ...]:
        if not (name.isascii() and name.isdigit()):
            return tuple(self.context.encode(name))
        if int(name) >= self.context.vocab_size:
            raise ValueError(
                f"bias names the token {name}, but this model's last is "
                f"{self.context.vocab_size - 1}."
            )
        return (int(name),)

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if not self.biases:
            return scores
        out = scores.clone()
        for i, row in enumerate(rows):
            here = [(s[-1], bias) for s, bias in self.biases if completes(row, s)]
            tokens, biases = zip(*here, strict=True) if here else ((), ())
            ids = torch.tensor(tokens, dtype=torch.int64, device=scores.device)
            out[i].index_add_(0, ids, torch.tensor(biases, device=scores.device).float())
        return out
