"""Choosing a token by hand: one column is run again with one more pick, the others stay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import gradio as gr

from playground.charts.text import count, milliseconds
from playground.colours import LETTERS
from playground.engine import Busy, FieldError, Request, Run
from playground.errors import ModelError
from playground.service import Service
from playground.trace import Comparison, LaneResult
from playground.ui import recipe as recipes
from playground.ui.column import Updates
from playground.ui.columns import Columns
from playground.ui.gradio_compat import told_by
from playground.ui.inspector_view import NO_RUN_ADVICE
from playground.ui.recipe import ColumnState
from playground.ui.views import View
from playground.ui.visitor import counted
from strategies.recipe import Recipe, RecipeError

FRAME_S = 0.3  # after which the status line says what a choice waits for


@dataclass(frozen=True)
class Picker:
    """The event behind all choosers, over the parts of the page it reads and writes."""

    service: Service
    columns: Columns
    status: gr.HTML
    first: gr.State  # the token on which the inspector opens

    @property
    def inputs(self) -> set[Any]:
        return {self.columns.run, self.columns.count}

    @property
    def outputs(self) -> list[Any]:
        heads = [part for c in self.columns.columns for part in c.head]
        return [self.status, self.first, self.columns.run, *heads, *self.columns.strips]

    def stream(
        self, values: dict[Any, Any], request: gr.Request, event: gr.EventData
    ) -> Iterator[Updates]:
        """Run the event's ``lane`` with one more ``token``; without its last one for None.

        The event's ``texts`` are the numbers of the texts that the columns show.
        """
        # A frame at once, and more while it waits: Gradio notices a closed page only at a frame.
        yield {self.status: gr.skip()}
        told, name = told_by(event), values[self.columns.run]
        columns = values[self.columns.count]
        lane, shown = told.get("lane"), self.columns.resolve(name)
        if type(lane) is not int or not 0 <= lane < columns:
            return
        fault, clock = self.columns.columns[lane].fault, perf_counter()
        if shown is None or lane >= len(shown.lanes):
            yield {fault: NO_RUN_ADVICE}
            return
        try:
            recipe = changed(shown.lanes[lane], told.get("token"))
            asked = again(shown, recipe, recipes.name_of(told), counted(request, self.service))
            run = self.service.submit(asked, shown.model.id)
        except (RecipeError, FieldError, ModelError) as problem:
            yield {fault: str(problem)}
            return
        except Busy as problem:
            yield {self.status: {"kind": "bad", "text": f"Not run: {problem}"}}
            return
        try:
            while not run.join(FRAME_S):
                yield {self.status: {"kind": "running", "text": _progress(run)}}
        finally:
            run.cancel()  # where the page was closed or rearranged; a finished run stays as it is
        took = perf_counter() - clock
        view = View.parse(name).replaced(lane, len(shown.lanes), run.id)
        yield self._drawn(str(view), columns, lane, told) | {
            self.status: {"kind": "done", "text": _outcome(run, lane, took)}
        }

    def _drawn(self, name: str, columns: int, lane: int, told: dict[str, Any]) -> Updates:
        """The column's new recipe, and every strip, since each has a sentence about another."""
        shown, texts = self.columns.resolve(name), told.get("texts")
        if shown is None:
            return {}
        steps = Recipe.parse(shown.lanes[lane].recipe).to_steps()
        state = ColumnState(steps, recipes.name_of(told), key=recipes.key_of(told))
        updates = self.columns.columns[lane].draw(state, columns) | {self.columns.run: name}
        for c in self.columns.columns[:columns]:
            text = texts[c.index] if isinstance(texts, list) and c.index < len(texts) else 0
            text = text if type(text) is int and text >= 0 else 0
            updates[c.strip] = self.columns.strip(shown, c.index, text)
        last = max(0, len(shown.lanes[lane].token_ids) - 1)
        return updates | {self.first: {"run": name, "lane": lane, "step": last, "output": 0}}


def changed(lane: LaneResult, token: Any) -> Recipe:
    """A lane's recipe with ``token`` after its picks, or without the last of them for None.

    Picks that are not in the text, because one was refused or the text ended before, are dropped.
    Raises ``RecipeError`` where no person chooses in this lane.
    """
    steps = Recipe.parse(lane.recipe).to_steps()
    if not lane.trace.chain.asks or "picks" not in steps[-1]["params"]:
        raise RecipeError(f"{lane.trace.search} chooses by itself.")
    held = list(lane.token_ids)
    if token is not None:
        held.append(token)
    elif len(held) == len(steps[-1]["params"]["picks"]):
        del held[-1:]
    steps[-1]["params"]["picks"] = held
    return Recipe.from_steps(steps)


def again(shown: Comparison, recipe: Recipe, name: str, client: str) -> Request:
    """The request of a shown run with this recipe alone."""
    return Request(
        prompt=shown.prompt,
        recipes=[recipe],
        names=[name],
        max_new_tokens=shown.max_new_tokens,
        min_new_tokens=shown.min_new_tokens,
        seed=shown.seed,
        stop=shown.stop,
        chat=shown.chat,
        split_special_tokens=shown.split_special_tokens,
        client=client,
    )


def _progress(run: Run) -> str:
    if run.state == "queued" and run.queue_position:
        return f"Waiting for free rows, place {run.queue_position} in line …"
    return "Going through the text again …"


def _outcome(run: Run, lane: int, took: float) -> str:
    known = count(len(run.views[0].path()), "token")
    return f"Column {LETTERS[lane]} by hand: {known}; the last choice took {milliseconds(took)}."
