"""The part of a backend that a local tokenizer serves: texts, tokens, and checked requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from playground.backends.backend import Backend
from playground.engine.forking import edited
from playground.trace import ModelFacts, PromptToken, StepRecord

if TYPE_CHECKING:
    from playground.engine.encoder import Conversation
    from playground.engine.request_builder import RequestBuilder
    from strategies import Context


class BuilderBackend(Backend):
    """A backend that checks requests and makes their runs in this process, by its ``builder``."""

    builder: RequestBuilder

    @property
    def facts(self) -> ModelFacts:
        return self.builder.facts

    @property
    def context_length(self) -> int:
        return self.builder.context_length

    @property
    def tokenizer(self) -> Any:
        return self.builder.tokenizer

    def tokens(self, prompt: str, chat: bool = False, split: bool = False) -> list[PromptToken]:
        return self.builder.encoder.prompt(prompt, chat, split)

    def conversation(
        self, messages: Sequence[Mapping[str, str]], *, answer: bool = True, go_on: bool = False
    ) -> Conversation:
        return self.builder.encoder.conversation(messages, answer=answer, go_on=go_on)

    def encode(self, text: str) -> list[int]:
        return self.builder.encoder.text(text)

    def decode(self, ids: Sequence[int]) -> list[PromptToken]:
        return self.builder.tokens("text", ids)

    def pieces(self, ids: Sequence[int]) -> dict[int, str]:
        return {id: self.builder.detokenizer.piece(id) for id in ids}

    def edited(self, path: Sequence[StepRecord], text: str) -> tuple[int, list[int]]:
        return edited(path, text, self.builder.encoder.within)

    def control_tokens(self, prompt: str) -> list[str]:
        return self.builder.encoder.control_tokens(prompt)

    def context(self, max_new_tokens: int, chat: bool = False, split: bool = False) -> Context:
        return self.builder.context(max_new_tokens, chat, split)
