"""Going on with a text from within it: from another candidate, or under other settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Annotated, Any

import gradio as gr
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from playground import charts
from playground.charts.text import count, milliseconds
from playground.colours import COLOURS, LETTERS
from playground.engine import Busy, FieldError, Request
from playground.errors import ModelError
from playground.explain.graft import graft
from playground.service import Service
from playground.trace import Comparison
from playground.ui import recipe as recipes
from playground.ui.column import Updates
from playground.ui.columns import Columns
from playground.ui.gradio_compat import told_by
from playground.ui.inspector_view import NO_RUN_ADVICE, InspectorView
from playground.ui.recipe import ColumnState
from playground.ui.status import status
from playground.ui.views import LONGEST, ShownLane, View
from playground.ui.visitor import counted
from strategies.notation import shorten
from strategies.recipe import Recipe, RecipeError

FRAME_S = 0.1  # between two looks at whether it is written


class Asked(BaseModel):
    """From where: text ``output`` of a lane before its ``step``, then ``token``, where one is told.

    ``recipe`` goes on, in its written form.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    run: Annotated[str, Field(max_length=LONGEST)]
    lane: int = Field(ge=0, lt=len(LETTERS))
    output: int = Field(0, ge=0)
    step: int = Field(ge=0)
    token: int | None = None
    recipe: str


def offer(view: InspectorView, token: int) -> dict[str, Any]:
    """What the element ``onward`` shows of a candidate that the text could go on from."""
    step, selection = view.path[view.selection.step], view.selection
    known = step.candidates
    text = known.texts[known.ids.index(token)]
    instead = f" in place of {charts.quoted(charts.piece(step))}" if token != step.token else ""
    lanes = view.comparison.lanes
    order = [selection.lane, *(n for n in range(len(lanes)) if n != selection.lane)]
    seen: dict[str, str] = {}
    for lane in order:
        seen.setdefault(lanes[lane].recipe, f"{LETTERS[lane]}: {shorten(lanes[lane].recipe, 60)}")
    return {
        **selection.model_dump(include={"run", "lane", "output", "step"}),
        "token": token,
        "words": f"Go on from {charts.quoted(text)}{instead}, under",
        "colour": COLOURS[selection.lane],
        "recipes": [{"written": written, "label": label} for written, label in seen.items()],
    }


@dataclass(frozen=True)
class Forker:
    """The event behind Continue. ``fault`` is where a sentence stands about why it did not."""

    service: Service
    columns: Columns
    status: gr.HTML
    first: gr.State  # the token the inspector opens on
    fault: gr.HTML

    @property
    def inputs(self) -> set[Any]:
        return self.columns.inputs

    @property
    def outputs(self) -> list[Any]:
        return [self.status, self.first, self.fault, *self.columns.outputs]

    def stream(
        self, values: dict[Any, Any], request: gr.Request, event: gr.EventData
    ) -> Iterator[Updates]:
        """Write on from where it is told, and show the whole text in a new column."""
        yield {self.fault: None, self.first: None}
        clock = perf_counter()
        try:
            asked = Asked.model_validate(told_by(event))
            shown = self._shown(asked, values)
            run = self.service.submit(
                forked(shown, asked, counted(request, self.service)), shown.model.id
            )
        except ValidationError as problem:
            yield {self.fault: f"Not continued: {problem.errors()[0]['msg']}."}
            return
        except (RecipeError, FieldError, ModelError, Busy) as problem:
            yield {self.fault: f"Not continued: {problem}"}
            return
        try:
            while not run.join(FRAME_S):
                words = f"Going on from token {asked.step + 1} …"
                yield {self.status: status("running", words)}
        finally:
            run.cancel()  # without effect on a finished run; else the page was closed or left it
        fork = run.comparison()
        lane = graft(shown, asked.lane, asked.output, asked.step, asked.token, fork)
        name = called(shown, asked)
        whole = fork.model_copy(
            update={
                "id": f"{run.id}-whole",
                "prefix": [],
                "prompt_tokens": shown.prompt_tokens,
                "max_new_tokens": shown.max_new_tokens,
                "lanes": [lane.model_copy(update={"name": name})],
            }
        )
        self.service.keep(whole)
        yield self._drawn(values, asked, shown, whole, name, perf_counter() - clock)

    def _shown(self, asked: Asked, values: dict[Any, Any]) -> Comparison:
        """The run on the page; ``FieldError`` where nothing can be gone on with."""
        shown = self.columns.resolve(asked.run)
        if shown is None or asked.lane >= len(shown.lanes):
            raise FieldError("run", NO_RUN_ADVICE)
        if asked.run != values[self.columns.run]:
            raise FieldError("run", "the page shows another run by now.")
        if any(lane.finish_reason is None for lane in shown.lanes):
            raise FieldError("run", "wait until every column is written, or press Stop.")
        if values[self.columns.count] >= self.columns.most:
            most = count(self.columns.most, "column")
            raise FieldError("recipes", f"there is room for {most}; remove one first.")
        path = shown.lanes[asked.lane].trace.path(asked.output)
        if asked.step >= len(path):
            raise FieldError("step", f"the text has {count(len(path), 'token')}.")
        if asked.token is not None and asked.token not in path[asked.step].candidates.ids:
            raise FieldError("token", "this token was not recorded as a candidate there.")
        return shown

    def _drawn(
        self,
        values: dict[Any, Any],
        asked: Asked,
        shown: Comparison,
        whole: Comparison,
        name: str,
        took: float,
    ) -> Updates:
        """The columns with the new one behind those that have a text."""
        view, at = View.parse(asked.run), len(shown.lanes)
        lanes = tuple(view.at(lane) for lane in range(at))
        told = str(View(view.run, (*lanes, ShownLane(whole.id, 0))))
        columns = [replace(column, opened=None) for column in self.columns.state(values)]
        columns.insert(at, ColumnState(Recipe.parse(asked.recipe).to_steps(), name))
        written = count(len(whole.lanes[0].token_ids) - asked.step, "token")
        words = (
            f"Column {LETTERS[at]} goes on from token {asked.step + 1} of column "
            f"{LETTERS[asked.lane]}: {written} in {milliseconds(took)}."
        )
        return self.columns.draw(columns, told) | {
            self.status: status("done", words),
            self.first: {"run": told, "lane": at, "step": asked.step, "output": 0},
        }


def forked(shown: Comparison, asked: Asked, client: str) -> Request:
    """A run that goes on with the text, to the length that the whole may have."""
    path = shown.lanes[asked.lane].trace.path(asked.output)
    own = [one.token for one in path[: asked.step]]
    own += [] if asked.token is None else [asked.token]
    return Request(
        prompt=shown.prompt,
        recipes=[Recipe.of(asked.recipe)],
        prefix=[*shown.prefix, *own],
        max_new_tokens=max(1, shown.max_new_tokens - len(own)),
        min_new_tokens=max(0, shown.min_new_tokens - len(own)),
        seed=shown.seed,
        stop=shown.stop,
        chat=shown.chat,
        split_special_tokens=shown.split_special_tokens,
        client=client,
    )


def called(shown: Comparison, asked: Asked) -> str:
    """The new column's name: the text it goes on with, where, and with what."""
    source = shown.lanes[asked.lane]
    step = source.trace.path(asked.output)[asked.step]
    known, place = step.candidates, f"{LETTERS[asked.lane]} from {asked.step + 1}"
    if asked.token is not None:
        place += f" {charts.quoted(known.texts[known.ids.index(asked.token)], 16)}"
    if asked.recipe == source.recipe:
        return place[: recipes.LONGEST_NAME]
    other = [LETTERS[n] for n, lane in enumerate(shown.lanes) if lane.recipe == asked.recipe]
    return f"{place} as {other[0] if other else 'changed'}"[: recipes.LONGEST_NAME]
