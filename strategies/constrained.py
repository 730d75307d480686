"""Constrained: only tokens from which the text can still match an expression or a JSON schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

import torch
from llguidance import LLMatcher, LLTokenizer
from pydantic import field_validator
from torch import Tensor

from . import base
from .base import Context, Info, Row, Strategy, setting


@dataclass(frozen=True)
class Matched:
    """A text's tokens, and the matcher that has read them; None once one of them did not fit."""

    tokens: tuple[int, ...]
    matcher: LLMatcher | None = field(compare=False)


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

        @field_validator("regex")
        @classmethod
        def _expression(cls, regex: str) -> str:
            return _sound(regex, LLMatcher.grammar_from_regex(regex))

        @field_validator("json_schema", mode="before")
        @classmethod
        def _written(cls, schema: Any) -> Any:
            """A schema that is not a text yet, as one."""
            return json.dumps(schema, ensure_ascii=False) if isinstance(schema, Mapping) else schema

        @field_validator("json_schema")
        @classmethod
        def _schema(cls, schema: str) -> str:
            return _sound(schema, _grammar(schema)) if schema else schema

    neutral: ClassVar = {"regex": "", "json_schema": ""}
    stateful = True

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self._start: LLMatcher | None = None
        if self.is_neutral(params):
            return
        if params.regex and params.json_schema:
            raise ValueError("give a regex or a json_schema, not both.")
        if context.tokenizer is None or not context.eos_token_ids:
            raise ValueError("the bytes of this model's tokens are not known, or no token ends it.")
        tokenizer = _tokenizer(context.tokenizer, context.vocab_size, context.eos_token_ids)
        grammar = (
            LLMatcher.grammar_from_regex(params.regex)
            if params.regex
            else _grammar(params.json_schema)
        )
        self._start = LLMatcher(tokenizer, grammar, log_level=0)
        self._allowed(self._start)

    def refuse(self, chain: Sequence[Strategy]) -> None:
        before = {strategy.info.id for strategy in chain[: chain.index(self)]}
        if before - {"min_new_tokens"}:
            raise ValueError(
                "it comes first, since a step before it may remove every token that fits; move it "
                "to the front."
            )

    def initial_state(self) -> Matched:
        return Matched((), self._start)

    def observe(self, state: Any, token: int, logprob: float) -> Matched:
        matcher = state.matcher and state.matcher.deep_copy()
        if matcher and not matcher.consume_token(token):
            matcher = None
        return Matched((*state.tokens, token), matcher)

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self._start is None:
            return scores
        out = scores.clone()
        for i, row in enumerate(rows):
            if row.state.matcher:
                kept = self._allowed(row.state.matcher).to(scores.device)
                out[i] = torch.where(kept, scores[i], -torch.inf)  # all of it at a dead end
        return out

    def _allowed(self, matcher: LLMatcher) -> Tensor:
        """Tokens that may follow, bool ``[vocab]``; ``ValueError`` where matching is at its end."""
        flags = torch.frombuffer(bytearray(matcher.compute_logit_bias()), dtype=torch.uint8)
        if matcher.is_error():
            raise ValueError(_reason(matcher.get_error()))
        return flags[: self.context.vocab_size] > 0


def _grammar(schema: str) -> str:
    try:
        parsed = json.loads(schema)
    except ValueError as error:
        raise ValueError(f"this is no JSON: {error}.") from None
    if not isinstance(parsed, dict):
        raise ValueError('a schema is a JSON object, such as {"type": "integer"}.')
    return LLMatcher.grammar_from_json_schema(parsed)


def _sound(text: str, grammar: str) -> str:
    """The text, if its grammar can be matched; ``ValueError`` with the library's reason."""
    fault = LLMatcher.validate_grammar(grammar)
    if fault:
        raise ValueError(_reason(fault))
    return text


def _reason(fault: str) -> str:
    """The one line of a fault's several that says what it is."""
    if fault.startswith("NoExtension"):
        return "there is no text that matches."
    lines = fault.splitlines()
    what = next((line for line in lines if line.startswith("error: ")), lines[0])
    return f"it cannot be matched: {what.removeprefix('error: ')}."


@lru_cache(maxsize=4)  # made in a quarter of a second, used by every lane of a model
def _tokenizer(
    source: Callable[[], str], vocab_size: int, eos_token_ids: tuple[int, ...]
) -> LLTokenizer:
    try:
        return LLTokenizer(source(), n_vocab=vocab_size, eos_token=list(eos_token_ids))
    except ValueError as error:
        raise ValueError(f"the bytes of this model's tokens are not known: {error}.") from None
