"""The controls of a column's open step, drawn by the server when another step opens."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr
from pydantic import ValidationError

from playground.service import Service
from playground.ui import event_errors, step_controls
from playground.ui import recipe as recipes
from playground.ui.element import QUICK, element, in_turn
from playground.ui.recipe import ColumnState
from strategies.registry import registry

if TYPE_CHECKING:
    from playground.ui.column import Column

Updates = dict[Any, Any]


def drawer(column: Column, count: gr.State, service: Service) -> None:
    """Draw the controls of the step that the recipe's element opens; ``count`` is of columns."""

    @gr.render(column.recipe, [column.recipe.expand], queue=False, show_progress="hidden")
    def draw(value: Any) -> None:
        try:
            _controls(column, count, service, value)
        except Exception as error:
            with gr.Column(elem_classes="controls"):
                element("message", event_errors.sentence(error))


def _controls(column: Column, count: gr.State, service: Service, value: Any) -> None:
    state = ColumnState.read(value)
    if state.opened is None:
        return
    step = state.steps[state.opened]
    strategy = registry().strategies.get(step["strategy"])
    if strategy is None:
        return
    try:
        params = strategy.Params(**step["params"])
    except ValidationError:
        params = strategy.Params()  # the values are not valid: a person mends them by the controls
    offered = [(entry.title, entry.id) for entry in service.models.catalogue()]
    drawn = step_controls.draw(
        strategy, params, enabled=step["enabled"], number=state.opened, models=offered
    )
    fields = {name: strategy.Params.model_fields[name] for name in drawn.controls}
    unchanged = {column.fault: gr.skip()}

    def turn(value: Any, columns: int, *given: Any) -> Updates:
        state = ColumnState.read(value)
        at = state.opened
        if at is None or state.steps[at]["strategy"] != strategy.info.id:
            return unchanged  # another step was opened before this value arrived
        state.steps[at]["params"] = {
            name: step_controls.typed(field, one)
            for (name, field), one in zip(fields.items(), given, strict=True)
        }
        return column.draw(state, columns)

    def act(name: str, value: Any, columns: int) -> Updates:
        state = ColumnState.read(value)
        steps, at = state.steps, state.opened
        if at is None:
            return unchanged
        if name == "close":
            return column.draw(replace(state, opened=None), columns)
        if name == "remove":
            left = steps[:at] + steps[at + 1 :]
            return column.draw(replace(state, steps=left, opened=None), columns)
        if name == "switch":
            steps[at]["enabled"] = not steps[at]["enabled"]
            label = step_controls.switch_label(steps[at]["enabled"])
            return column.draw(state, columns) | {drawn.acts["switch"]: label}
        if name == "clear":
            steps[at]["params"] = {**steps[at]["params"], recipes.PICKS: []}
            cleared = {drawn.acts["clear"]: gr.update(interactive=False)}
            return column.draw(state, columns) | cleared
        to = at + (1 if name == "later" else -1)
        if not 0 <= to < len(steps):
            return unchanged
        steps.insert(to, steps.pop(at))
        return column.draw(replace(state, opened=to), columns)

    inputs = [column.recipe, count]
    safe = partial(event_errors.guarded, tell=lambda words: {column.fault: words})
    sent = {"js": "(...given) => playground.turns.sent(given)", **QUICK}
    for control in drawn.controls.values():
        moved = control.input(
            safe(turn), [*inputs, *drawn.controls.values()], column.head,
            trigger_mode="always_last", **sent,
        )  # fmt: skip
        in_turn(moved)
    for name, button in drawn.acts.items():
        outputs = [*column.head, *drawn.acts.values()]
        in_turn(button.click(safe(partial(act, name)), inputs, outputs, **QUICK))
