"""One column: its recipe, the controls of the step that is open, and what it writes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr
from pydantic import ValidationError

from playground.colours import COLOURS, LETTERS
from playground.models import ModelError
from playground.ui import faults, panel
from playground.ui import recipe as recipes
from playground.ui.bridge import Bridge
from playground.ui.element import QUICK, element, message
from playground.ui.names import source
from playground.ui.recipe import Steps
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
    python: gr.Textbox
    fault: gr.HTML
    strip: gr.HTML

    @property
    def head(self) -> list[Any]:
        return [self.recipe, self.written, self.fault]

    def draw(
        self,
        steps: Steps,
        columns: int,
        opened: Any = None,
        preset: str | None = None,
        name: str = "",
    ) -> Updates:
        """The head for these steps of one of ``columns`` columns, step ``opened`` with controls."""
        view = recipes.view(self.index, steps, columns, self.most, opened, preset, name)
        return {self.recipe: view, self.written: view["written"], self.fault: view["error"]}

    def write(
        self, text: str, columns: int, name: str = "", before: Any = None, redraw: Any = None
    ) -> Updates:
        """The head for a written recipe, which stands as it is where it cannot be read.

        A step that is open in the value ``before`` stays so, its controls drawn anew.
        """
        try:
            steps = recipes.steps_of(text)
            at = recipes.still_open(before, steps)
            drawn = self.draw(steps, columns, at, name=name)
            drawn[self.recipe]["redraw"] = redraw
            return drawn
        except RecipeError as problem:
            drawn = self.draw([], columns, name=name)
            drawn[self.recipe] |= {"written": text, "error": str(problem)}
            return drawn | {self.written: text, self.fault: str(problem)}


def column(
    index: int,
    steps: Steps | None,
    text: dict[str, Any],
    columns: int,
    most: int,
    count: gr.State,
    run: gr.State,
    bridge: Bridge,
) -> Column:
    """Draw one column, hidden where ``steps`` is None, and wire what concerns it alone.

    ``text`` is its strip's value; ``count`` holds how many columns show, ``columns`` at first, and
    ``run`` the name of what they show.
    """
    view = None if steps is None else recipes.view(index, steps, columns, most)
    with gr.Column(visible=view is not None, elem_classes="lane card", min_width=0) as box:
        parts = Column(
            index=index,
            most=most,
            box=box,
            recipe=element("recipe", view, constants=recipes.constants()),
            written=gr.Textbox(
                view["written"] if view else "",
                label=f"Recipe of column {LETTERS[index]} as text",
                elem_classes="written",
                container=False,
                max_lines=3,
            ),
            python=gr.Textbox(
                label="The same in transformers",
                elem_classes="python",
                interactive=False,
                buttons=["copy"],
                max_lines=6,
            ),
            fault=message(f"column-fault-{index}"),
            strip=element("strip", text, render=False, constants={"colour": COLOURS[index]}),
        )
        with gr.Column(elem_classes="drawer"):
            _drawer(parts, count)
        element("preview", constants={"lane": index, "colour": COLOURS[index]})
        parts.strip.render()
    _wire(parts, count, run, bridge)
    return parts


def _wire(column: Column, count: gr.State, run: gr.State, bridge: Bridge) -> None:
    """The steps changed, a preset chosen, the line rewritten."""

    def edit(columns: int, shown: str, event: gr.EventData) -> Updates:
        steps, at = recipes.read(event._data), event._data.get("open")
        name = recipes.name_of(event._data)
        with suppress(IndexError):  # what was written is called so from now on, too
            kept, _, lane = source(shown, column.index).partition("/")
            bridge.service.rename(kept, int(lane), name)
        if event._data.get("add") in registry().strategies:
            steps, at = insert(steps, event._data["add"])
        return column.draw(steps, columns, at, name=name)

    def choose(columns: int, model: str, event: gr.EventData) -> Updates:
        asked = event._data.get("preset")
        if asked == OWN:
            try:
                own = bridge.own(model)
            except ModelError as problem:
                return {column.fault: str(problem)}
            drawn = column.draw(own.recipe.to_steps(), columns, preset=OWN)
            return drawn | {column.fault: " ".join(own.left_out) or None}
        recipe = next((preset.recipe for preset in PRESETS if preset.id == asked), None)
        return column.draw(recipe.to_steps(), columns) if recipe else {column.fault: gr.skip()}

    def rewrite(text: Any, columns: int, value: Any) -> Updates:
        try:
            return column.draw(Recipe.of(text).to_steps(), columns, name=recipes.name_of(value))
        except RecipeError as problem:
            return {column.fault: str(problem)}

    def translate(model: str, tokens: Any, event: gr.EventData) -> str:
        return bridge.python(str(event._data.get("written")), model, tokens)

    column.recipe.edit(edit, [count, run], column.head, **QUICK)
    column.recipe.preset(choose, [count, bridge.model], column.head, **QUICK)
    column.recipe.translate(translate, bridge.inputs, column.python, **QUICK)
    for event in (column.written.submit, column.written.blur):
        event(rewrite, [column.written, count, column.recipe], column.head, **QUICK)


def _drawer(column: Column, count: gr.State) -> None:
    """The controls of the open step. The element asks for them when another step opens."""

    @gr.render(column.recipe, [column.recipe.expand], queue=False, show_progress="hidden")
    def draw(value: Any) -> None:
        try:
            controls(value)
        except Exception as error:
            with gr.Column(elem_classes="controls"):
                element("message", faults.sentence(error))

    def controls(value: Any) -> None:
        steps, at = recipes.read(value), recipes.opened(value)
        strategy = registry().strategies.get(steps[at]["strategy"]) if at is not None else None
        if at is None or strategy is None:
            return
        try:
            params = strategy.Params(**steps[at]["params"])
        except ValidationError:
            params = strategy.Params()  # the controls are how a person leaves the bad values
        drawn = panel.panel(strategy, params, enabled=steps[at]["enabled"])
        fields = {name: strategy.Params.model_fields[name] for name in drawn.controls}
        unchanged = {column.fault: gr.skip()}

        def turn(value: Any, columns: int, *given: Any) -> Updates:
            steps, at = recipes.read(value), recipes.opened(value)
            if at is None or steps[at]["strategy"] != strategy.info.id:
                return unchanged  # another step opened while the hand was still on this one
            steps[at]["params"] = {
                name: panel.typed(field, one)
                for (name, field), one in zip(fields.items(), given, strict=True)
            }
            return column.draw(steps, columns, at, name=recipes.name_of(value))

        def act(name: str, value: Any, columns: int) -> Updates:
            steps, at = recipes.read(value), recipes.opened(value)
            if at is None:
                return unchanged
            draw = partial(column.draw, columns=columns, name=recipes.name_of(value))
            if name == "close":
                return draw(steps)
            if name == "remove":
                return draw(steps[:at] + steps[at + 1 :])
            if name == "switch":
                steps[at]["enabled"] = not steps[at]["enabled"]
                label = panel.switch_label(steps[at]["enabled"])
                return draw(steps, opened=at) | {drawn.acts["switch"]: label}
            if name == "clear":
                steps[at]["params"] = {**steps[at]["params"], recipes.PICKS: []}
                cleared = {drawn.acts["clear"]: gr.update(interactive=False)}
                return draw(steps, opened=at) | cleared
            to = at + (1 if name == "later" else -1)
            if not 0 <= to < len(steps):
                return unchanged
            steps.insert(to, steps.pop(at))
            return draw(steps, opened=to)

        inputs = [column.recipe, count]
        safe = partial(faults.guarded, tell=lambda words: {column.fault: words})
        latest = {"trigger_mode": "always_last", **QUICK}
        for control in drawn.controls.values():
            control.input(safe(turn), [*inputs, *drawn.controls.values()], column.head, **latest)
        for name, button in drawn.acts.items():
            outputs = [*column.head, *drawn.acts.values()]
            button.click(safe(partial(act, name)), inputs, outputs, **QUICK)
