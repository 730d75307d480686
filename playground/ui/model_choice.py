"""Choosing a model, and showing the prompt's tokens under it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import wait
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from playground.engine import Busy
from playground.fresh_thread import on_own_thread
from playground.models import ModelError
from playground.models.arrival import GivenUp, Waiting
from playground.service import Service
from playground.ui import taking
from playground.ui.gradio_compat import told_by
from playground.ui.model_facts import facts_line
from playground.ui.prompt import tokens
from playground.ui.state import PageParts, Values
from playground.ui.status import status
from playground.ui.visitor import counted

FRAME_S = 0.25  # between two looks at a model on its way

Updates = dict[Any, Any]


@dataclass(frozen=True)
class ModelChoice:
    """``loaded`` holds the id of the model that the page uses.

    ``templated`` says whether the page opened with the chat template's switch. ``waits`` are the
    pages that wait for a model, by session.
    """

    service: Service
    parts: PageParts
    loaded: gr.State
    templated: bool
    waits: dict[str, Waiting] = field(default_factory=dict)

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
            head.model, head.facts, head.fault, head.taking, self.parts.limits.chat, self.loaded,
            self.parts.prompt.chips,
        ]  # fmt: skip

    def choose(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        """The updates of a chosen model; see ``_choose``."""
        yield from self._with_ticket(self._choose(values, request))

    def take(self, values: Values, request: gr.Request, event: gr.EventData) -> Iterator[Updates]:
        """Fetch and load the model of the card, which then is the page's."""
        yield from self._with_ticket(self._take(str(told_by(event).get("id")), values, request))

    def leave(self, values: Values, request: gr.Request) -> Updates:
        """Show the earlier model; the event that waited for another one ends."""
        waiting = self.waits.pop(str(request.session_hash), None)
        if waiting is not None:  # at once: Gradio ends that event a little later
            waiting.leave()
        head, loaded = self.parts.header, values[self.loaded]
        return {head.taking: None, head.model: loaded} | self._facts(loaded, values)

    def _with_ticket(self, updates: Iterator[Updates]) -> Iterator[Updates]:
        """An event's updates, its cards with one ticket, by which the page knows what it left."""
        card, ticket = self.parts.header.taking, secrets.token_hex(8)
        for update in updates:
            if update.get(card):
                update[card] |= {"ticket": ticket}
            yield update

    def _choose(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        """Load a model and show its facts; where that fails, the earlier one stays.

        Of one that is to be fetched first, what it takes is shown, and the earlier one stays until
        a person says so, unless others wait for it already.
        """
        head, backends = self.parts.header, self.service.backends
        asked, loaded = values[head.model], values[self.loaded]
        try:
            if backends.running(asked) is None:
                counted(request, self.service)
            if asked not in (loaded, self.service.models.default) and not backends.is_coming(asked):
                yield {head.fault: None, head.taking: taking.asking(asked)}
                estimate = backends.estimate(asked)
                if estimate is not None:
                    offered = {head.taking: taking.offer(estimate), head.model: loaded}
                    yield offered | self._facts(loaded, values)
                    return
        except (ModelError, Busy) as problem:
            yield self._failed(problem, loaded, values)
            return
        yield from self._load(asked, values, request)

    def _take(self, asked: str, values: Values, request: gr.Request) -> Iterator[Updates]:
        try:
            counted(request, self.service)
        except Busy as problem:
            yield self._failed(problem, values[self.loaded], values)
            return
        yield from self._load(asked, values, request)

    def _load(self, asked: str, values: Values, request: gr.Request) -> Iterator[Updates]:
        """Wait for a model, and show how far it is; the last who leaves gives it up."""
        head, loaded = self.parts.header, values[self.loaded]
        try:
            if self.service.running(asked) is None:
                yield from self._wait(asked, asked != loaded, str(request.session_hash))
            facts = self.service.backend(asked).facts
        except GivenUp:  # by this page as well, which shows the earlier model
            return
        except (ModelError, Busy) as problem:
            yield self._failed(problem, loaded, values)
            return
        told = self._facts(facts.id, values)
        if asked == loaded and facts.has_chat_template == self.templated:
            told.pop(self.parts.limits.chat, None)  # right already, or being set by the person
        yield {head.model: facts.id, head.taking: None, self.loaded: facts.id} | told

    def _wait(self, asked: str, other: bool, session: str) -> Iterator[Updates]:
        """How far a model is, until it is there; raises what kept it from coming."""
        yield {self.parts.header.fault: None}
        waiting = self.service.backends.wait_for(asked)
        if waiting is None:
            return
        self.waits[session] = waiting
        try:
            coming = on_own_thread(self.service.backend, asked, waiting)
            pace = taking.Pace(waiting.arrival)
            while not coming.done():
                yield self._under_way(pace, other)
                wait([coming], timeout=FRAME_S)
                if waiting.has_left:
                    raise GivenUp(asked)
            coming.result()
        finally:
            waiting.leave()
            if self.waits.get(session) is waiting:
                del self.waits[session]

    def _under_way(self, pace: taking.Pace, other: bool) -> Updates:
        """How far a model is; on the card where the page has an earlier one meanwhile."""
        head = self.parts.header
        if other:
            return {head.taking: pace.coming()}
        return {head.facts: status("", pace.words()[0])}

    def _failed(self, problem: Exception, loaded: str, values: Values) -> Updates:
        head = self.parts.header
        told = {head.fault: str(problem), head.taking: None, head.model: loaded}
        return told | self._facts(loaded, values)

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
