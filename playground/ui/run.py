"""Pressing Run: the request is queued, or a sentence beside the cause says why it cannot be."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
from pydantic import BaseModel, ConfigDict, ValidationError

from playground.colours import LETTERS
from playground.engine import Busy, FieldError, Request, Run
from playground.models import ModelError
from playground.service import Service
from playground.ui import preview
from playground.ui.follow import Follower
from playground.ui.gradio_compat import told_by
from playground.ui.limits import SEEDS, fault, on_page, stop_strings, whole
from playground.ui.links import Setup
from playground.ui.state import PageParts, PageState, Values
from playground.ui.status import status
from playground.ui.visitor import counted
from strategies.recipe import Recipe, RecipeError

PATIENCE_S = 60.0  # for which a run that goes on waits where the server takes no more runs
PAUSE_S = 2.0  # between two tries of it

Updates = dict[Any, Any]


class Again(BaseModel):
    """A run that a page was having written when it lost its server.

    ``stands`` is how many tokens of it each column shows.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    setup: Setup
    stands: tuple[int, ...] = ()


@dataclass(frozen=True)
class Runner:
    """The event behind Run. ``previews`` is the element that holds the shown run's request."""

    service: Service
    parts: PageParts
    follower: Follower
    previews: gr.HTML

    @property
    def outputs(self) -> list[Any]:
        parts, follower = self.parts, self.follower
        return [
            follower.status, follower.first, self.previews, parts.limits.seed, parts.columns.run,
            *parts.limits.idle, *self.faults,
        ]  # fmt: skip

    @property
    def places(self) -> dict[str, gr.HTML]:
        """The element for a sentence about each field of a request."""
        parts = self.parts
        recipes = {f"recipes.{c.index}": c.fault for c in parts.columns.columns}
        return {
            "prompt": parts.prompt.fault,
            "model": parts.header.fault,
            **parts.limits.faults,
            **recipes,
        }

    @property
    def faults(self) -> Updates:
        """The updates that empty every element for a sentence about a run."""
        return dict.fromkeys(self.places.values())

    def submit(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        """Queue the page's request, for the page to follow its run."""
        parts, line, first = self.parts, self.follower.status, self.follower.first
        starting = status("running", "Starting …")
        yield parts.limits.busy | self.faults | {line: starting, first: None}
        yield from self._queue(parts.state(values), request)

    def again(self, event: gr.EventData, request: gr.Request) -> Iterator[Updates]:
        """Queue a run that the page was having written when it lost its server.

        Its seed is the same, and so is its text. Many pages may come back at once, so that it waits
        for a while where the server takes no more runs.
        """
        yield self.parts.limits.busy
        try:
            asked = Again.model_validate(told_by(event))
        except ValidationError as problem:
            yield self.parts.limits.idle | self._beside(fault(problem))
            return
        yield from self._queue(PageState.of(asked.setup), request, asked)

    def _queue(
        self, state: PageState, request: gr.Request, again: Again | None = None
    ) -> Iterator[Updates]:
        """Queue the run of a set-up, or say why not."""
        parts, line = self.parts, self.follower.status
        until = time.monotonic() + (PATIENCE_S if again is not None else 0.0)
        while True:
            try:
                asked = requested(state, counted(request, self.service))
                submit = self.service.submit_to_gpu if state.gpu else self.service.submit
                run = submit(asked, state.model)
                break
            except FieldError as problem:
                yield parts.limits.idle | self._beside(on_page(problem))
                return
            except Busy as problem:
                if time.monotonic() > until:
                    yield parts.limits.idle | {line: status("bad", f"Not run: {problem}")}
                    return
                yield {line: status("running", f"It goes on once there is room: {problem}")}
                time.sleep(PAUSE_S)
            except ModelError as problem:
                yield parts.limits.idle | {
                    parts.header.fault: str(problem),
                    line: status("bad", "Not run: the model did not load."),
                }
                return
        self.follower.expect(run, again.stands if again is not None else ())
        updates = self._submitted(run, state)
        if again is not None:  # another seed may be set up by now
            del updates[parts.limits.seed]
        try:
            yield updates
        except GeneratorExit:  # the page shows something else by now
            self.follower.leave(run.id)
            raise

    def _submitted(self, run: Run, state: PageState) -> Updates:
        """The updates of a queued run. The page keeps its set-up in case it loses the server."""
        again = state.setup(run.request.seed).model_dump(mode="json")
        # With the id, since a value that is the same as before would not reach the page.
        told = {**(preview.setup(run.comparison()) or {}), "run": run.id, "again": again}
        return {
            self.parts.limits.seed: str(run.request.seed),
            self.parts.columns.run: run.id,
            self.previews: told,
        }

    def _beside(self, problem: FieldError) -> Updates:
        """The updates that show an error beside its cause; the texts on the page stay."""
        line = self.follower.status
        updates: Updates = {line: status("bad", "Not run: see the message in red.")}
        name, _, place = problem.field.partition(".")
        column = place.split(".")[0]
        if name == "recipes" and column.isdigit():
            where = f"Not run: see the message in red in column {LETTERS[int(column)]}."
            updates[line] = status("bad", where)
            name = f"recipes.{column}"
        beside = self.places.get(name)
        if beside is None:
            return {line: status("bad", str(problem))}
        return updates | {beside: str(problem)}


def requested(state: PageState, client: str) -> Request:
    """The request of the page's set-up; ``FieldError`` where a field or a recipe is not valid."""
    recipes = []
    for place, text in enumerate(state.written):
        try:
            recipes.append(Recipe.of(text))
        except RecipeError as problem:
            raise FieldError(f"recipes.{place}", str(problem)) from problem
    try:
        return Request(
            prompt=state.prompt,
            recipes=recipes,
            names=list(state.names),
            max_new_tokens=whole("max_new_tokens", state.max_new_tokens),
            min_new_tokens=whole("min_new_tokens", state.min_new_tokens),
            seed=whole("seed", state.seed) if state.keep_seed else random.randrange(SEEDS),
            stop=stop_strings(state.stop),
            chat=state.chat,
            split_special_tokens=state.split,
            alone=state.alone,
            client=client,
        )
    except ValidationError as problem:
        raise fault(problem) from problem
