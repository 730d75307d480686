"""The controls of one step: native components made from the strategy's ``Params``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import gradio as gr
from pydantic.fields import FieldInfo

from playground.colours import COLOURS
from playground.ui.element import element
from playground.ui.recipe import PICKS
from strategies.base import Params, Strategy
from strategies.notation import literal, quote

WHOLE = re.compile(r"[+-]?[0-9]{1,400}")
REAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
Offered = Sequence[tuple[str, str]]  # the titles and ids of models

LATEX = [{"left": "$$", "right": "$$", "display": True}]


def allowed(field: FieldInfo) -> tuple[Any, ...]:
    """The values of a ``Literal`` field; none for a field of any other type."""
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


def control(name: str, field: FieldInfo, value: Any, models: Offered = ()) -> Any:
    """The control of one parameter: a slider for a number with a usual range, a menu for a model
    of those that are offered.
    """
    hints = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    common: dict[str, Any] = {"label": name, "info": field.description, "interactive": True}
    choices = allowed(field)
    if field.annotation is bool:
        return gr.Checkbox(value=value, **common)
    if choices:
        return gr.Dropdown([(str(c), str(c)) for c in choices], value=str(value), **common)
    if hints.get("names") == "model":
        menu = [("—", ""), *models]
        return gr.Dropdown(menu, value=value, filterable=True, allow_custom_value=True, **common)
    if field.annotation in (int, float):
        usual = hints.get("usual")
        low, high = usual if isinstance(usual, list) else (None, None)
        known = {"label": name, "info": field.description or "", "low": low, "high": high}
        return element(
            "number", {"text": str(value)}, constants=known | {"step": hints.get("step", 1)}
        )
    return gr.Textbox(value=value if isinstance(value, str) else quote(value), **common)


def typed(field: FieldInfo, value: Any) -> Any:
    """A control's value converted to the parameter's type, for ``Params`` to validate."""
    choices = allowed(field)
    if choices and isinstance(value, str):
        return next((choice for choice in choices if str(choice) == value), value)
    if field.annotation in (int, float):
        return _number(value.get("text") if isinstance(value, dict) else value)
    if field.annotation is not str and isinstance(value, str):
        return literal(value)  # a list or a mapping, written as in a recipe
    return value


def _number(text: Any) -> Any:
    """The number in a text, with every digit; any other text as it is, for ``Params`` to refuse."""
    bare = text.strip() if isinstance(text, str) else ""
    if WHOLE.fullmatch(bare):
        return int(bare)
    return float(bare) if REAL.fullmatch(bare) else text


@dataclass(frozen=True)
class Panel:
    """The controls of a step: one for each parameter, and the buttons that act on the step."""

    controls: dict[str, Any]
    acts: dict[str, gr.Button]


def switch_label(enabled: bool) -> str:
    return "Switch off" if enabled else "Switch on"


def draw(
    strategy: type[Strategy],
    params: Params,
    *,
    enabled: bool,
    number: int = 0,
    models: Offered = (),
) -> Panel:
    """Draw the controls of one step, what it does to the next token, and its formula, folded.

    Called inside ``gr.render``; the step is the one of this ``number`` in its recipe, from 0.
    """
    info = strategy.info
    labels = {
        "earlier": "Move left",
        "later": "Move right",
        "switch": switch_label(enabled),
        "remove": "Remove",
        **({"clear": "Clear picks"} if PICKS in strategy.Params.model_fields else {}),
        "close": "Close",
    }
    with gr.Column(elem_classes="controls"):
        with gr.Row(elem_classes="acts"):
            acts = {
                name: gr.Button(label, size="sm", min_width=0, elem_classes=f"act {name}")
                for name, label in labels.items()
            }
            if "clear" in acts:
                acts["clear"].interactive = bool(getattr(params, PICKS))
        gr.Markdown(info.summary, elem_classes="summary")
        element("card", constants={"step": number, "colours": COLOURS})
        controls = {
            name: control(name, field, getattr(params, name), models)
            for name, field in strategy.Params.model_fields.items()
            if name != PICKS
        }
        with gr.Accordion("Formula, source and advice", open=False, elem_classes="formula"):
            source = f"[{info.source}]({info.url})" if info.url else info.source
            gr.Markdown(
                f"$$ {info.formula} $$\n\n{info.advice}\n\nSource: {source}",
                latex_delimiters=LATEX,
            )
    return Panel(controls, acts)
