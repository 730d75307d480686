"""Choosing a model, and showing the prompt's tokens under it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from playground.engine import Busy
from playground.models import ModelError
from playground.service import Service
from playground.ui.model_facts import facts_line
from playground.ui.prompt import tokens
from playground.ui.state import PageParts, Values
from playground.ui.status import status
from playground.ui.visitor import counted

Updates = dict[Any, Any]


@dataclass(frozen=True)
class ModelChoice:
    """``loaded`` holds the id of the model that the page uses.

    ``templated`` says whether the page opened with the chat template's switch.
    """

    service: Service
    parts: PageParts
    loaded: gr.State
    templated: bool

    @property
    def inputs(self) -> set[Any]:
        prompt = self.parts.prompt
        return {
            self.parts.header.model, self.loaded, prompt.text, prompt.split, self.parts.limits.chat
        }  # fmt: skip

    @property
    def outputs(self) -> list[Any]:
        head = self.parts.header
        return [
            head.model, head.facts, head.fault, self.parts.limits.chat, self.loaded,
            self.parts.prompt.chips,
        ]  # fmt: skip

    def choose(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        """Load a model and show its facts; where that fails, the earlier one stays."""
        head = self.parts.header
        asked, loaded = values[head.model], values[self.loaded]
        if asked != loaded:
            yield {head.fault: None, head.facts: status("", f"loading {asked} …")}
        try:
            if self.service.running(asked) is None:
                counted(request, self.service)
            facts = self.service.backend(asked).facts
        except (ModelError, Busy) as problem:
            told = self._facts(loaded, values)
            yield {head.fault: str(problem), head.model: loaded} | told
            return
        told = self._facts(facts.id, values)
        if asked == loaded and facts.has_chat_template == self.templated:
            told.pop(self.parts.limits.chat, None)  # right already, or being set by the person
        yield {self.loaded: facts.id} | told

    def read(self, values: Values) -> Updates:
        """The chips of the prompt's tokens, while it is typed."""
        return {self.parts.prompt.chips: self._tokens(values[self.loaded], values)}

    def refusal(self, model: str) -> str | None:
        """Why this model is not offered here, or None."""
        try:
            self.service.running(model)
        except ModelError as problem:
            return str(problem)
        return None

    def _facts(self, model: str, values: Values) -> Updates:
        head = self.parts.header
        try:
            facts = self.service.backend(model).facts
        except ModelError:
            return {head.facts: status("bad", "not loaded")}
        chat = gr.update(visible=True)
        if not facts.has_chat_template:
            chat = gr.update(visible=False, value=False)
        return {
            head.facts: status("", facts_line(facts)),
            self.parts.limits.chat: chat,
            self.parts.prompt.chips: self._tokens(model, values),
        }

    def _tokens(self, model: str, values: Values) -> dict[str, Any]:
        prompt, chat = self.parts.prompt, values[self.parts.limits.chat]
        return tokens(self.service, values[prompt.text], chat, values[prompt.split], model)
