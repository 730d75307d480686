"""Thinking budget: after so many tokens of thinking, the tag that ends it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from .. import base
from ..base import Context, Info, Row, setting
from ..ops.thinking import Tags


class ThinkingBudget(base.Processor):
    info = Info(
        id="thinking_budget",
        title="Thinking budget",
        summary="Lets a model think for so many tokens, then writes the tag that ends it.",
        formula=r"z'_i = -\infty \quad \text{if } i \ne c_j, \text{ the next token of the closing "
        r"tag, after } n \text{ tokens of thinking}",
        source="vLLM (thinking_token_budget); SGLang; Qwen3's documentation",
        url="https://docs.vllm.ai/en/latest/features/reasoning_outputs.html",
        advice="Use it with a model that thinks before it answers, to see what the answer is "
        "worth after less of it. The thought is cut where it stands, so give words that round it "
        "off, and a model that does not think never meets it.",
    )

    class Params(base.Params):
        tokens: int = setting(
            -1,
            "How many tokens it may think; −1 is as many as it likes.",
            usual=(-1, 1024),
            step=1,
            ge=-1,
            le=1_000_000,
        )
        words: str = setting(
            "", "What is written before the tag that ends the thinking.", max_length=400
        )
        opening: str = setting(
            "", "The tag that begins it; empty is that of the chat template.", max_length=50
        )
        closing: str = setting(
            "", "The tag that ends it; empty is that of the chat template.", max_length=50
        )

    neutral: ClassVar = {"tokens": -1}
    each_alone: ClassVar = True
    leads: ClassVar = True

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self._tags: Tags | None = None
        if not self.is_neutral(params):
            self._tags = Tags.of(context, params.opening, params.closing, params.words)

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self._tags is None:
            return scores
        nexts = [self._tags.due(row, self.params.tokens) for row in rows]
        if all(token is None for token in nexts):
            return scores
        out = scores.clone()
        for i, token in enumerate(nexts):
            if token is not None:
                out[i] = -torch.inf
                out[i, token] = scores[i, token]
        return out

    def measure(self, row: Row) -> Mapping[str, float]:
        """How many tokens it thought, tags left out."""
        return {"thinking tokens": len(self._tags.thought(row)[0])} if self._tags else {}

    def dead_end(self, row: Row) -> str:
        return "the tag that ends the thinking is not left here."
