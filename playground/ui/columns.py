"""The row of columns: adding, duplicating and removing one, and the run that they show."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.events import Dependency

from playground.trace import Comparison
from playground.ui import recipe as recipes
from playground.ui import strip
from playground.ui.column import Updates, column
from playground.ui.element import QUICK, in_turn
from playground.ui.exchange import Exchange
from playground.ui.gradio_compat import bound, told_by
from playground.ui.links import Setup
from playground.ui.own_settings import OwnSettings
from playground.ui.recipe import ColumnState
from playground.ui.views import Resolve, View
from strategies.presets import PRESETS

Values = dict[Any, Any]  # the inputs of an event, by component


class Columns:
    """Every column the page may have. ``count`` of them are visible, and show the view ``run``.

    Column ``n`` always shows lane ``n`` of the view: a new column is added at the end, and removing
    or duplicating one makes another view of the same runs.
    """

    def __init__(
        self,
        start: Sequence[ColumnState],
        most: int,
        resolve: Resolve,
        shown: Comparison | None,
        add: gr.Button,
        own: OwnSettings,
        exchange: Exchange,
    ) -> None:
        self.resolve, self.most, self.add = resolve, most, add
        self.count = gr.State(len(start))
        self.run = gr.State(shown.id if shown else "")
        with gr.Row(elem_id="columns"):
            self.columns = [
                column(
                    i,
                    start[i] if i < len(start) else None,
                    self.strip(shown, i),
                    len(start),
                    most,
                    self.count,
                    self.run,
                    own,
                    exchange,
                )
                for i in range(most)
            ]

    @property
    def inputs(self) -> set[Any]:
        """The components of the columns that an event needs as inputs."""
        return {self.count, self.run, *self.recipes}

    def state(self, values: Values) -> list[ColumnState]:
        """The visible columns; ``RecipeError`` where one holds no list of steps."""
        shown = self.columns[: values[self.count]]
        return [ColumnState.read(values[column.recipe]) for column in shown]

    def names(self, values: Values) -> tuple[str, ...]:
        """The names of the visible columns."""
        shown = self.columns[: values[self.count]]
        return tuple(recipes.name_of(values[column.recipe]) for column in shown)

    @property
    def recipes(self) -> list[gr.HTML]:
        return [c.recipe for c in self.columns]

    @property
    def written(self) -> list[gr.Textbox]:
        return [c.written for c in self.columns]

    @property
    def strips(self) -> list[gr.HTML]:
        return [c.strip for c in self.columns]

    @property
    def choices(self) -> list[Any]:
        """Each strip's event of a token chosen by hand, bound to the strip as ``gr.on`` expects."""
        return [bound(shown.choose) for shown in self.strips]

    @property
    def outputs(self) -> list[Any]:
        """The components that ``draw`` may change."""
        parts = [part for c in self.columns for part in (c.box, *c.head, c.strip)]
        return [self.count, self.run, self.add, *parts]

    def restore(self, setup: Setup, run: str) -> Updates:
        """Show these recipes as they were written, and their lanes of this run."""
        written = setup.recipes[: self.most]
        updates = self.draw([ColumnState([]) for _ in written], run)
        for c, text in zip(self.columns, written, strict=False):
            updates |= c.write(text, len(written), setup.name(c.index))
        return updates

    def revise(self, setup: Setup, values: Values, redraw: Any) -> Updates:
        """Show these recipes in place of the shown ones, and leave the texts as they are.

        A text that is being written goes on. ``redraw`` is part of the value of each column that
        changes, so that its element draws the open step's controls anew.
        """
        written, count, run = setup.recipes[: self.most], values[self.count], values[self.run]
        shown = self.resolve(run) if run else None
        updates: Updates = {
            self.count: len(written),
            self.add: gr.update(interactive=len(written) < self.most),
        }
        for c in self.columns:
            here, there = c.index < len(written), c.index < count
            if here != there:
                updates[c.box] = gr.update(visible=here)
            if here and not there:
                updates[c.strip] = self.strip(shown, c.index)
            if not here and there:
                updates |= {c.recipe: None, c.written: "", c.fault: None}
            if not here:
                continue
            text, name = written[c.index], setup.name(c.index)
            value = values[c.recipe] if there else None
            kept = value if isinstance(value, dict) else {}
            known = (kept.get("written"), recipes.name_of(kept))
            if known != (text, name) or len(written) != count:
                updates |= c.write(text, len(written), name, value, redraw)
        return updates

    def draw(self, columns: Sequence[ColumnState], run: str) -> Updates:
        """Show these columns, and their lanes of this run."""
        comparison = self.resolve(run) if run else None
        count = len(columns)
        updates: Updates = {self.count: count, self.run: run}
        updates[self.add] = gr.update(interactive=count < self.most)
        for c in self.columns:
            here = c.index < count
            updates[c.box] = gr.update(visible=here)
            if here:
                updates |= c.draw(columns[c.index], count)
                updates[c.strip] = self.strip(comparison, c.index)
            else:
                updates |= {c.recipe: None, c.written: "", c.fault: None}
        return updates

    def strip(self, comparison: Comparison | None, index: int, output: int = 0) -> dict[str, Any]:
        if comparison is None or index >= len(comparison.lanes):
            return strip.empty(index)
        return strip.shown(comparison, index, output)

    def wire(
        self, *, stop_first: Any, leave: Callable[[str], None], idle: Updates
    ) -> list[Dependency]:
        """Wire adding, duplicating and removing columns, and turning to another text of one.

        Returns the events after which columns are in other positions. The frames of a run are sent
        to columns by position, so a run ends before positions change: ``stop_first`` are the events
        that send frames, ``leave`` ends a run whose first frame is still to come, and ``idle``
        shows that none runs.
        """
        outputs = [*self.outputs, *idle]

        def rearrange(values: Values, event: gr.EventData) -> Updates:
            asked = told_by(event)
            columns, run = self.state(values), values[self.run]
            at = next((i for i, c in enumerate(columns) if c.key == asked.get("key")), None)
            duplicate = asked.get("act") == "duplicate"
            if at is None or (len(columns) >= self.most if duplicate else len(columns) < 2):
                return {self.count: gr.skip()}
            leave(run)
            shown = self.resolve(run) if run else None
            lanes = list(range(len(shown.lanes) if shown else 0))
            if duplicate:
                name = another(columns[at].name, [c.name for c in columns])
                columns.insert(at + 1, ColumnState(deepcopy(columns[at].steps), name))
                lanes[at:at] = [at] if at < len(lanes) else []
            else:
                del columns[at], lanes[at : at + 1]
            view = str(View.parse(run).rearranged(lanes)) if lanes else ""
            return self.draw([replace(c, opened=None) for c in columns], view) | idle

        def append(values: Values) -> Updates:
            columns, run = self.state(values), values[self.run]
            if len(columns) >= self.most:
                return {self.count: gr.skip()}
            leave(run)
            forms = [preset.recipe.to_steps() for preset in PRESETS]
            steps = [c.steps for c in columns]
            fresh = next((form for form in forms if form not in steps), forms[0])
            shut = [replace(c, opened=None) for c in columns]
            return self.draw([*shut, ColumnState(fresh)], run) | idle

        moved = [bound(c.recipe.rearrange) for c in self.columns]
        rearranged = [
            gr.on(moved, rearrange, self.inputs, outputs, cancels=stop_first, **QUICK),
            self.add.click(append, self.inputs, outputs, cancels=stop_first, **QUICK),
        ]
        for event in rearranged:
            in_turn(event)
        for c in self.columns:
            c.strip.turn(self._turner(c.index), None, c.strip, **QUICK)
        return rearranged

    def _turner(self, index: int) -> Callable[[gr.EventData], Any]:
        def turn(event: gr.EventData) -> Any:
            comparison = self.resolve(str(told_by(event).get("run")))
            output = told_by(event).get("output")
            if comparison is None or not isinstance(output, int) or output < 0:
                return gr.skip()
            return self.strip(comparison, index, output)

        return turn


def another(name: str, names: Sequence[str]) -> str:
    """This name with the first number behind it that makes it different from ``names``."""
    if not name:
        return ""
    stem = re.sub(r" \d+$", "", name)
    number = next(n for n in range(2, len(names) + 3) if f"{stem} {n}" not in names)
    return f"{stem[: recipes.LONGEST_NAME - 3]} {number}"
