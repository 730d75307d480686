"""Constrained: only tokens from which the text can still match an expression or a JSON schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import ValidationInfo, field_validator
from torch import Tensor

from .. import base
from ..base import Context, Info, Row, Strategy, setting
from ..grammars import Matching, Unfit, exists, longer, of_regex, of_schema, vocabulary


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

    class Params(base.Params):
        regex: str = setting(
            "",
            "A regular expression for the whole text, without look-around; empty asks for nothing.",
            max_length=4_000,
            examples=["", "[0-9]+|none"],
        )
        json_schema: str = setting(
            "",
            "A JSON schema the text must be valid for; empty asks for nothing.",
            max_length=8_000,
            examples=["", '{"type": "array", "items": {"type": "boolean"}}'],
        )
        whitespace: int = setting(
            1,
            "The longest white space between two parts of the JSON, in characters; 0 has none.",
            usual=(0, 20),
            step=1,
            ge=0,
            le=100,
        )

        @field_validator("json_schema", mode="before")
        @classmethod
        def _written(cls, schema: Any) -> Any:
            """A schema that is not a text yet, as one."""
            return json.dumps(schema, ensure_ascii=False) if isinstance(schema, Mapping) else schema

        @field_validator("regex", "json_schema")
        @classmethod
        def _read(cls, text: str, field: ValidationInfo) -> str:
            if text:
                of_regex(text) if field.field_name == "regex" else of_schema(text, 0)
            return text

    neutral: ClassVar = {"regex": "", "json_schema": ""}
    beside: ClassVar = "bad_words"
    stateful = True

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self._start: Matching | None = None  # the empty text
        self._least = 0  # tokens that are asked for
        if self.is_neutral(params):
            return
        if params.regex and params.json_schema:
            raise ValueError("give a regex or a json_schema, not both.")
        if context.tokenizer is None or not context.eos_token_ids:
            raise ValueError("the bytes of this model's tokens are not known, or no token ends it.")
        self._vocabulary = vocabulary(context.tokenizer, context.vocab_size, context.eos_token_ids)
        self._grammar = (
            of_regex(params.regex)
            if params.regex
            else of_schema(params.json_schema, params.whitespace)
        )
        try:
            self._start = Matching.begin(self._vocabulary, self._grammar)
        except Unfit as error:
            raise ValueError(f"{'regex' if params.regex else 'json_schema'}: {error}") from None

    def refuse(self, chain: Sequence[Strategy]) -> None:
        at = chain.index(self)
        if {strategy.info.id for strategy in chain[:at]} - {"min_new_tokens"}:
            raise ValueError(
                "it comes first, since a step before it may remove every token that fits; move it "
                "to the front."
            )
        self._least = max(
            (getattr(s.params, "count", 0) for s in chain if s.info.id == "min_new_tokens"),
            default=0,
        )
        regex: str = self.params.regex
        if self._least and regex and not exists(self._vocabulary, longer(regex, self._least)):
            raise ValueError(
                f"no text that matches has the {self._least} tokens that min_new_tokens asks for."
            )

    def initial_state(self) -> Matching | None:
        start, self._start = self._start, None  # each text's own, and let go with it
        if start or self.is_neutral(self.params):
            return start
        return Matching.begin(self._vocabulary, self._grammar)

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
