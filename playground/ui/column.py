"""One column: its recipe, the controls of the open step, and its text."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from playground.colours import COLOURS, LETTERS
from playground.models import ModelError
from playground.ui import recipe as recipes
from playground.ui.element import QUICK, element, in_turn, message
from playground.ui.exchange import Exchange
from playground.ui.gradio_compat import told_by
from playground.ui.own_settings import OwnSettings
from playground.ui.recipe import ColumnState
from playground.ui.step_drawer import drawer
from playground.ui.views import View
from strategies.order import insert
from strategies.presets import OWN, PRESETS
from strategies.recipe import Recipe, RecipeError
from strategies.registry import registry

Updates = dict[Any, Any]


@dataclass(frozen=True)
class Column:
    """A column's parts."""

    index: int
    most: int
    box: gr.Column
    recipe: gr.HTML
    written: gr.Textbox
    fault: gr.HTML
    strip: gr.HTML

    @property
    def head(self) -> list[Any]:
        return [self.recipe, self.written, self.fault]

    def draw(self, column: ColumnState, columns: int) -> Updates:
        """The updates that show this set-up in the head, one of ``columns`` columns."""
        view = recipes.view(self.index, column, columns, self.most)
        return {self.recipe: view, self.written: view["written"], self.fault: view["error"]}

    def write(
        self, text: str, columns: int, name: str = "", before: Any = None, redraw: Any = None
    ) -> Updates:
        """The updates that show a written recipe in the head, as text where it cannot be parsed.

        A step that is open in the head's value ``before`` stays open, with its controls drawn anew.
        """
        key = recipes.key_of(before)
        try:
            steps = recipes.steps_of(text)
            at = recipes.still_open(before, steps)
            drawn = self.draw(ColumnState(steps, name, at, key=key), columns)
            drawn[self.recipe]["redraw"] = redraw
            return drawn
        except RecipeError as problem:
            drawn = self.draw(ColumnState([], name, key=key), columns)
            drawn[self.recipe] |= {"written": text, "error": str(problem)}
            return drawn | {self.written: text, self.fault: str(problem)}


def column(
    index: int,
    start: ColumnState | None,
    text: dict[str, Any],
    columns: int,
    most: int,
    count: gr.State,
    run: gr.State,
    own: OwnSettings,
    exchange: Exchange,
) -> Column:
    """Draw one column, hidden where ``start`` is None, and wire what concerns it alone.

    ``text`` is its strip's value; ``count`` holds how many columns show, ``columns`` at first, and
    ``run`` the name of what they show.
    """
    view = None if start is None else recipes.view(index, start, columns, most)
    known = recipes.constants(tuple(own.service.backends.refused.items()))
    with gr.Column(visible=view is not None, elem_classes="lane card", min_width=0) as box:
        parts = Column(
            index=index,
            most=most,
            box=box,
            recipe=element("recipe", view, constants={**known, "lane": index}),
            written=gr.Textbox(
                view["written"] if view else "",
                label=f"Recipe of column {LETTERS[index]} as text",
                elem_classes="written",
                container=False,
                max_lines=3,
                interactive=True,
            ),
            fault=message(f"column-fault-{index}"),
            strip=element("strip", text, render=False, constants={"colour": COLOURS[index]}),
        )
        exchange.draw(index, COLOURS[index])
        with gr.Column(elem_classes="drawer"):
            drawer(parts, count, own.service)
        element("preview", constants={"lane": index, "colour": COLOURS[index]})
        parts.strip.render()
    _wire(parts, count, run, own)
    return parts


def _wire(column: Column, count: gr.State, run: gr.State, own: OwnSettings) -> None:
    """Wire the changes to a recipe: its steps, its name, a preset, the line of text."""

    def change(columns: int, shown: str, model: str, event: gr.EventData) -> Updates:
        asked = told_by(event)
        acts = {"edit": edit, "preset": choose, "rewrite": rewrite}
        act = acts.get(str(asked.get("act")))
        return act(asked, columns, shown, model) if act else {column.fault: gr.skip()}

    def edit(asked: dict[str, Any], columns: int, shown: str, model: str) -> Updates:
        state = ColumnState.read(asked)
        with suppress(IndexError):  # the lane of the run on the page takes the name too
            lane = View.parse(shown).at(column.index)
            own.service.rename(lane.run, lane.lane, state.name)
        if asked.get("add") in registry().strategies:
            steps, at = insert(state.steps, asked["add"])
            state = replace(state, steps=steps, opened=at)
        return column.draw(state, columns)

    def choose(asked: dict[str, Any], columns: int, shown: str, model: str) -> Updates:
        chosen, key = asked.get("preset"), recipes.key_of(asked)
        if chosen == OWN:
            try:
                found = own.of(model)
            except ModelError as problem:
                return {column.fault: str(problem)}
            steps = found.recipe.to_steps()
            drawn = column.draw(ColumnState(steps, preset=OWN, key=key), columns)
            return drawn | {column.fault: " ".join(found.left_out) or None}
        recipe = next((preset.recipe for preset in PRESETS if preset.id == chosen), None)
        if recipe is None:
            return {column.fault: gr.skip()}
        return column.draw(ColumnState(recipe.to_steps(), key=key), columns)

    def rewrite(asked: dict[str, Any], columns: int, shown: str, model: str) -> Updates:
        try:
            steps = Recipe.of(asked.get("text")).to_steps()
        except RecipeError as problem:
            return {column.fault: str(problem)}
        name, key = recipes.name_of(asked), recipes.key_of(asked)
        return column.draw(ColumnState(steps, name, key=key), columns)

    inputs = [count, run, own.model]
    in_turn(column.recipe.change_recipe(change, inputs, column.head, **QUICK))
