"""Going on with a text from within it: from another candidate, another place, or words of one's
own.

The new text is a column, which is followed like any run; the text that it began from stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

import gradio as gr
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from playground import charts
from playground.charts.text import count
from playground.colours import COLOURS, LETTERS
from playground.engine import Busy, FieldError, Run
from playground.engine.forking import fork
from playground.errors import ModelError
from playground.service import Service
from playground.trace import Comparison
from playground.ui import recipe as recipes
from playground.ui.column import Updates
from playground.ui.columns import Columns
from playground.ui.follow import Follower
from playground.ui.gradio_compat import told_by
from playground.ui.growing import Growing
from playground.ui.inspector_view import NO_RUN_ADVICE, InspectorView
from playground.ui.limits import Limits
from playground.ui.recipe import ColumnState
from playground.ui.status import status
from playground.ui.views import LONGEST, ShownLane, View
from playground.ui.visitor import counted
from strategies.notation import shorten
from strategies.recipe import Recipe, RecipeError

LONGEST_TEXT = 20_000  # characters of a text that was changed by hand


class ForkRequest(BaseModel):
    """From where: text ``output`` of a lane before its ``step``, then ``token``, where one is told.

    In place of both, ``text`` is what a person made of it. ``recipe`` goes on, in its written form.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    run: Annotated[str, Field(max_length=LONGEST)]
    lane: int = Field(ge=0, lt=len(LETTERS))
    output: int = Field(0, ge=0)
    step: int = Field(ge=0)
    token: int | None = None
    text: Annotated[str, Field(max_length=LONGEST_TEXT)] | None = None
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
    limits: Limits
    follower: Follower
    fault: gr.HTML

    @property
    def inputs(self) -> set[Any]:
        return self.columns.inputs

    @property
    def outputs(self) -> list[Any]:
        follower = self.follower
        return [
            follower.status, follower.first, self.fault, *self.limits.idle, *self.columns.outputs,
        ]  # fmt: skip

    def submit(
        self, values: dict[Any, Any], request: gr.Request, event: gr.EventData
    ) -> Iterator[Updates]:
        """Queue the fork, and show a column for it, for the page to follow its run."""
        yield {self.fault: None, self.follower.first: None}
        try:
            asked = ForkRequest.model_validate(told_by(event))
            shown = self._shown(asked, values)
            columns = self.columns.state(values)
            step, tokens = self._place(asked, shown)
            source = View.parse(asked.run).at(asked.lane)
            made = fork(shown, asked.lane, step, tokens, recipe=asked.recipe, sample=asked.output)
            forked = made.forked and made.forked.model_copy(
                update={"run": source.run, "lane": source.lane}
            )
            update = {"forked": forked, "client": counted(request, self.service)}
            model = shown.model_of(asked.lane).id
            run = self.service.submit(made.model_copy(update=update), model)
        except ValidationError as problem:
            yield {self.fault: f"Not continued: {problem.errors()[0]['msg']}."}
            return
        except (RecipeError, FieldError, ModelError, Busy) as problem:
            yield {self.fault: f"Not continued: {problem}"}
            return
        growing = Growing(shown, asked.lane, asked.output, step, called(shown, asked, step), run)
        self.service.grow(growing.id, growing.comparison)
        try:
            yield self._begun(growing, columns, asked, run)
        except GeneratorExit:  # the page shows something else by now
            run.cancel()
            raise

    def _place(self, asked: ForkRequest, shown: Comparison) -> tuple[int, list[int]]:
        """How many tokens stay, and which are put behind them."""
        path = shown.lanes[asked.lane].trace.path(asked.output)
        if asked.text is not None:
            return self.service.edited(path, asked.text, shown.model_of(asked.lane).id)
        if asked.step > len(path):
            raise FieldError("step", f"the text has {count(len(path), 'token')}.")
        if asked.token is None:
            return asked.step, []
        if asked.step == len(path) or asked.token not in path[asked.step].candidates.ids:
            raise FieldError("token", "this token was not recorded as a candidate there.")
        return asked.step, [asked.token]

    def _shown(self, asked: ForkRequest, values: dict[Any, Any]) -> Comparison:
        """The run on the page; ``FieldError`` where nothing can be gone on with."""
        shown = self.columns.resolve(asked.run)
        if shown is None or asked.lane >= len(shown.lanes):
            raise FieldError("run", NO_RUN_ADVICE)
        if asked.run != values[self.columns.run]:
            raise FieldError("run", "the page shows another run by now.")
        if any(lane.finish_reason is None for lane in shown.lanes):
            raise FieldError("run", "wait until every column is written, or press Stop.")
        return shown

    def _begun(
        self, growing: Growing, columns: list[ColumnState], asked: ForkRequest, run: Run
    ) -> Updates:
        """The columns with the new one behind those that have a text.

        Where there is no room, it stands in place of the one it began from, whose text the tree
        keeps.
        """
        view, lanes = View.parse(asked.run), growing.shown.lanes
        shown = [view.at(lane) for lane in range(len(lanes))]
        full = len(columns) >= self.columns.most
        at = asked.lane if full else len(lanes)
        shown[at : at + full] = [ShownLane(growing.id, 0)]
        steps = Recipe.of(str(run.request.recipes[0])).to_steps()
        columns = [replace(column, opened=None) for column in columns]
        columns[at : at + full] = [ColumnState(steps, growing.name)]
        told = str(View(view.run, tuple(shown)))
        self.follower.expect_fork(told, growing, at, self.columns.resolve)
        place = "it takes its column; the tree keeps both" if full else ""
        words = f"Going on from token {growing.step + 1} of column {LETTERS[asked.lane]} …"
        return {
            **self.columns.draw(columns, told),
            **self.limits.busy,
            self.follower.status: status("running", f"{words} {place}".strip()),
        }


def called(shown: Comparison, asked: ForkRequest, step: int) -> str:
    """The new column's name: the text it goes on with, where, and with what."""
    source = shown.lanes[asked.lane]
    place = f"{LETTERS[asked.lane]} from {step + 1}"
    if asked.text is not None:
        place = f"{LETTERS[asked.lane]} edited at {step + 1}"
    elif asked.token is not None:
        known = source.trace.path(asked.output)[step].candidates
        place += f" {charts.quoted(known.texts[known.ids.index(asked.token)], 16)}"
    if asked.recipe == source.recipe:
        return place[: recipes.LONGEST_NAME]
    other = [LETTERS[n] for n, lane in enumerate(shown.lanes) if lane.recipe == asked.recipe]
    return f"{place} as {other[0] if other else 'changed'}"[: recipes.LONGEST_NAME]
