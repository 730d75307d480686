"""Constrained: only tokens from which the text can still match what is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from .. import base
from ..base import Context, Info, Observed, Row, Strategy
from ..grammars import Constraint, Matching, Unfit


class Constrained(base.Processor):
    info = Info(
        id="constrained",
        title="Constrained",
        summary="Removes every token after which the text could no longer match; it ends only "
        "where it matches.",
        formula=r"z'_i = -\infty \quad \text{if no text in } \mathcal{L} \text{ begins with } "
        r"x_{\text{new}} \, i",
        source="llguidance; Willard & Louf 2023",
        url="https://github.com/guidance-ai/llguidance",
        advice="Use it when a program reads the answer, as with JSON, dates or one of a few words, "
        "and say in the prompt what is wanted. A text cut off by the length limit does not match, "
        "and a form the model would not have chosen can make its content worse.",
    )
    Params = Constraint
    neutral: ClassVar = {"regex": "", "json_schema": "", "grammar": "", "choices": ()}
    leads: ClassVar = True
    stateful = True
    observes: ClassVar[Observed] = "token"
    each_alone: ClassVar = True

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self._start: Matching | None = None  # the empty text
        self._least = 0  # tokens that are asked for
        if self.is_neutral(params):
            return
        self._grammar = params.read()
        try:
            self._start = self._begun()
        except Unfit as error:
            raise ValueError(f"{params.given()[0]}: {error}") from None

    def refuse(self, chain: Sequence[Strategy]) -> None:
        if self.is_neutral(self.params):
            return
        before = [s for s in chain[: chain.index(self)] if not s.is_neutral(s.params)]
        if any(strategy.info.id != "min_new_tokens" for strategy in before):
            raise ValueError(
                "it comes first, as one before it may remove all that fits; move it to the front."
            )
        counts = [s.params.count for s in chain if s.info.id == "min_new_tokens"]
        self._least = max(counts, default=0)
        known = self.context.vocabulary
        if self._least and not self.context.grammars.reaches(known, self._grammar, self._least):
            raise ValueError(
                f"no text that matches has the {self._least} tokens that min_new_tokens asks for."
            )

    def initial_state(self) -> Matching | None:
        start, self._start = self._start, None  # each text's own, and let go with it
        return start if start or self.is_neutral(self.params) else self._begun()

    def _begun(self) -> Matching:
        return self.context.grammars.begin(self.context.vocabulary, self._grammar)

    def observe(self, state: Matching | None, token: int, logprob: float) -> Matching | None:
        return state.after(token) if state else None

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self.is_neutral(self.params):
            return scores
        kept = torch.stack([row.state.allowed() for row in rows])
        return torch.where(kept.to(scores.device), scores, -torch.inf)

    def dead_end(self, row: Row) -> str:
        state: Matching | None = row.state
        if state and state.stuck:
            return state.stuck
        if state and state.whole and self._least:
            return (
                "the text matches and cannot go on, but it may not end before it has "
                f"{self._least} tokens (min_new_tokens)."
            )
        return "no token after which the text could still match is left here."
