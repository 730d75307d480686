"""Texts that are kept beside the columns: forked ones, and those whose column was taken away.

The page remembers which there are; a text itself is kept on the server under the name of its lane.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import gradio as gr
from pydantic import BaseModel, ConfigDict, Field

from playground.charts.text import count
from playground.engine import FieldError
from playground.trace import LaneResult
from playground.ui import event_errors, tree
from playground.ui import recipe as recipes
from playground.ui.column import Updates
from playground.ui.columns import Columns
from playground.ui.gradio_compat import told_by
from playground.ui.inspector_view import NO_RUN_ADVICE
from playground.ui.recipe import ColumnState
from playground.ui.views import LONGEST, Resolve, ShownLane, View
from strategies.recipe import Recipe, RecipeError

MOST = 64  # texts that are kept beside one run's

Source = Annotated[str, Field(max_length=LONGEST, pattern=r"^[^/:]+/\d{1,3}$")]


class TreeRequest(BaseModel):
    """A view, and the lanes that are known beside those that it shows."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: Annotated[str, Field(max_length=LONGEST)] = ""
    known: list[Source] = Field(default_factory=list, max_length=MOST)


class Act(BaseModel):
    """What a person does with a text: have it shown in a column, or not, or give it a name."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    act: str
    source: Source
    name: Annotated[str, Field(max_length=recipes.LONGEST_NAME)] = ""


def forest(resolve: Resolve) -> Callable[[Any], dict[str, Any]]:
    """The function by which the element ``tree`` asks for what it draws."""

    def forest(sent: Any) -> dict[str, Any]:
        try:
            return tree.drawn(texts(resolve, TreeRequest.model_validate(sent)))
        except Exception as error:
            return {"fault": event_errors.sentence(error)}

    return forest


def texts(resolve: Resolve, asked: TreeRequest) -> list[tree.Leaf]:
    """The texts of the columns in their order, and then the others that are still kept."""
    shown = resolve(asked.run) if asked.run else None
    if shown is None:
        raise FieldError("run", NO_RUN_ADVICE)
    view = View.parse(asked.run)
    found: dict[str, list[tree.Leaf]] = {}
    for column, result in enumerate(shown.lanes):
        source = str(view.at(column))
        found.setdefault(source, tree.leaves(source, result, column))
    for source in asked.known:
        other = None if source in found else lane_of(resolve, source)
        if other is not None:
            found[source] = tree.leaves(source, other, None)
    return [leaf for own in found.values() for leaf in own]


def lane_of(resolve: Resolve, source: str) -> LaneResult | None:
    """A lane by its own name; None where it is no longer kept."""
    run, _, lane = source.partition("/")
    kept = resolve(run)
    return kept.lanes[int(lane)] if kept is not None and int(lane) < len(kept.lanes) else None


class Branches:
    """The events behind the tree's acts on columns."""

    def __init__(
        self, columns: Columns, fault: gr.HTML, rename: Callable[[str, int, str], None]
    ) -> None:
        """``fault`` is where a sentence stands about what could not be done."""
        self.columns, self.fault, self.rename = columns, fault, rename

    @property
    def outputs(self) -> list[Any]:
        return [self.fault, *self.columns.outputs]

    def act(
        self, values: dict[Any, Any], event: gr.EventData, leave: Callable[[str], None]
    ) -> Updates:
        """The columns after an act, or why it cannot be done; ``leave`` ends a run."""
        try:
            return {self.fault: None} | self._done(values, event, leave)
        except (FieldError, RecipeError) as problem:
            return {self.fault: f"Not done: {problem}"}

    def _done(
        self, values: dict[Any, Any], event: gr.EventData, leave: Callable[[str], None]
    ) -> Updates:
        asked, run = Act.model_validate(told_by(event)), values[self.columns.run]
        shown = self.columns.resolve(run) if run else None
        if shown is None:
            raise FieldError("run", NO_RUN_ADVICE)
        view, columns = View.parse(run), self.columns.state(values)
        sources = [str(view.at(lane)) for lane in range(len(shown.lanes))]
        at = sources.index(asked.source) if asked.source in sources else None
        if asked.act == "name":
            return self._named(asked, columns, at, run)
        if asked.act == "hide" and at is not None:
            if len(columns) < 2:
                raise FieldError("columns", "it is the only column.")
            leave(run)
            del columns[at], sources[at]
        elif asked.act == "show" and at is None:
            most = self.columns.most
            if len(columns) >= most:
                told = f"there is room for {count(most, 'column')}; hide one first."
                raise FieldError("columns", told)
            kept = lane_of(self.columns.resolve, asked.source)
            if kept is None:
                raise FieldError("run", NO_RUN_ADVICE)
            leave(run)
            place = len(sources)
            columns.insert(place, ColumnState(Recipe.parse(kept.recipe).to_steps(), kept.name))
            sources.append(asked.source)
        lanes = [source.split("/") for source in sources]
        told = View(view.run, tuple(ShownLane(name, int(lane)) for name, lane in lanes))
        return self.columns.draw([replace(one, opened=None) for one in columns], str(told))

    def _named(self, asked: Act, columns: list[ColumnState], at: int | None, run: str) -> Updates:
        name, lane = asked.source.split("/")
        self.rename(name, int(lane), asked.name)
        if at is not None and at < len(columns):
            columns[at] = replace(columns[at], name=asked.name)
        return self.columns.draw(columns, run)
