"""One column: its recipe, the controls of the step that is open, and what it writes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr
from pydantic import ValidationError

from playground.colours import LETTERS
from playground.ui import panel
from playground.ui import recipe as recipes
from playground.ui.element import QUICK, element, message
from playground.ui.recipe import Steps
from strategies.presets import PRESETS
from strategies.recipe import Recipe, RecipeError
from strategies.registry import registry

Updates = dict[Any, Any]


@dataclass(frozen=True)
class Column:
    """A column's parts; ``opened`` is the step its controls were drawn for, None where closed."""

    index: int
    most: int
    box: gr.Column
    recipe: gr.HTML
    written: gr.Textbox
    fault: gr.HTML
    opened: gr.State
    strip: gr.HTML

    @property
    def head(self) -> list[Any]:
        return [self.recipe, self.written, self.fault, self.opened]

    def draw(self, steps: Steps, columns: int, opened: int | None = None) -> Updates:
        """The head for these steps of one of ``columns`` columns, step ``opened`` with controls."""
        view = recipes.view(self.index, steps, columns, self.most, opened)
        step = None if view["open"] is None else steps[view["open"]]
        return {
            self.recipe: view,
            self.written: view["written"],
            self.fault: view["error"],
            self.opened: step and step | {"asked": time.monotonic_ns()},
        }

    def revise(self, steps: Steps, columns: int, opened: int | None) -> Updates:
        """As ``draw``, but with the controls left as they are under the hand that moves them."""
        drawn = self.draw(steps, columns, opened)
        del drawn[self.opened]
        return drawn


def column(
    index: int,
    steps: Steps | None,
    text: dict[str, Any],
    columns: int,
    most: int,
    count: gr.State,
) -> Column:
    """Draw one column, hidden where ``steps`` is None, and wire what concerns it alone.

    ``text`` is its strip's value; ``count`` holds how many columns show, ``columns`` at first.
    """
    view = None if steps is None else recipes.view(index, steps, columns, most)
    with gr.Column(visible=view is not None, elem_classes="lane card", min_width=0) as box:
        parts = Column(
            index=index,
            most=most,
            box=box,
            recipe=element(
                "recipe", view, presets=recipes.presets(), strategies=recipes.catalogue()
            ),
            written=gr.Textbox(
                view["written"] if view else "",
                label=f"Recipe of column {LETTERS[index]} as text",
                elem_classes="written",
                container=False,
                max_lines=3,
            ),
            fault=message(f"column-fault-{index}"),
            opened=gr.State(None),
            strip=element("strip", text),
        )
        with gr.Column(elem_classes="drawer"):
            _drawer(parts, count)
    _wire(parts, count)
    return parts


def _wire(column: Column, count: gr.State) -> None:
    """A step pressed, the steps changed, a preset chosen, the line rewritten."""

    def edit(columns: int, event: gr.EventData) -> Updates:
        opened = event._data.get("open")
        steps = recipes.read(event._data)
        return column.draw(steps, columns, opened if isinstance(opened, int) else None)

    def press(value: Any, columns: int, event: gr.EventData) -> Updates:
        step = event._data.get("step")
        return column.draw(recipes.read(value), columns, step if isinstance(step, int) else None)

    def choose(columns: int, event: gr.EventData) -> Updates:
        asked = event._data.get("preset")
        recipe = next((preset.recipe for preset in PRESETS if preset.id == asked), None)
        return column.draw(recipe.to_steps(), columns) if recipe else {column.fault: gr.skip()}

    def rewrite(text: Any, columns: int) -> Updates:
        try:
            return column.draw(Recipe.of(text).to_steps(), columns)
        except RecipeError as problem:
            return {column.fault: str(problem)}

    column.recipe.edit(edit, count, column.head, **QUICK)
    column.recipe.open(press, [column.recipe, count], column.head, **QUICK)
    column.recipe.preset(choose, count, column.head, **QUICK)
    for event in (column.written.submit, column.written.blur):
        event(rewrite, [column.written, count], column.head, **QUICK)


def _drawer(column: Column, count: gr.State) -> None:
    """The controls of the step that is open, made anew when another one opens."""
    opened = column.opened

    @gr.render(opened, [opened.change], queue=False, show_progress="hidden")
    def draw(step: dict[str, Any] | None) -> None:
        strategy = registry().strategies.get(step["strategy"]) if step else None
        if step is None or strategy is None:
            return
        try:
            params = strategy.Params(**step["params"])
        except ValidationError:
            params = strategy.Params()  # the controls are how a person leaves the bad values
        drawn = panel.panel(strategy, params, enabled=step["enabled"])
        names = list(drawn.controls)

        def turn(value: Any, columns: int, *given: Any) -> Updates:
            steps, at = recipes.read(value), value.get("open")
            if not isinstance(at, int) or steps[at]["strategy"] != strategy.info.id:
                return {column.fault: gr.skip()}
            steps[at]["params"] = {
                name: panel.typed(strategy.Params.model_fields[name], one)
                for name, one in zip(names, given, strict=True)
            }
            return column.revise(steps, columns, at)

        def act(name: str, value: Any, columns: int) -> Updates:
            steps, at = recipes.read(value), value.get("open")
            if not isinstance(at, int) or not 0 <= at < len(steps):
                return {column.fault: gr.skip()}
            if name == "close":
                return column.draw(steps, columns)
            if name == "remove":
                return column.draw(steps[:at] + steps[at + 1 :], columns)
            if name == "switch":
                steps[at]["enabled"] = not steps[at]["enabled"]
                label = panel.switch_label(steps[at]["enabled"])
                return column.revise(steps, columns, at) | {drawn.acts["switch"]: label}
            to = at + (1 if name == "later" else -1)
            if 0 <= to < len(steps):
                steps.insert(to, steps.pop(at))
                return column.revise(steps, columns, to)
            return {column.fault: gr.skip()}

        inputs = [column.recipe, count]
        for control in drawn.controls.values():
            control.input(
                turn,
                [*inputs, *drawn.controls.values()],
                column.head,
                trigger_mode="always_last",
                **QUICK,
            )
        for name, button in drawn.acts.items():
            outputs = [*column.head, drawn.acts["switch"]]
            button.click(partial(act, name), inputs, outputs, **QUICK)
