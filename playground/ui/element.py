"""The page's own elements: each has a JSON value, a static template, and DOM code.

Gradio evaluates a template as JavaScript, so no text of a model or of a person is ever part of one;
the code in ``assets`` sets it as ``textContent``.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

# The options of most events: answered at once, without a spinner, not part of any API.
QUICK: dict[str, Any] = {
    "queue": False,
    "show_progress": "hidden",
    "show_progress_on": [],
    "api_visibility": "private",
}
ASSETS = Path(__file__).parent / "assets"


@cache
def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def element(name: str, value: Any = None, **options: Any) -> gr.HTML:
    """The element of ``assets/{name}.html`` and ``.js``; ``options`` are those of ``gr.HTML``.

    ``constants`` are values that its code uses by name. They are written into the code, because
    Gradio drops an element's own props while it is hidden.
    """
    constants = options.pop("constants", {})
    known = "".join(f"const {key} = {json.dumps(given)};\n" for key, given in constants.items())
    return gr.HTML(
        value=value,
        html_template=_asset(f"{name}.html"),
        js_on_load=known + _asset(f"{name}.js"),
        apply_default_css=False,
        elem_classes=[f"pg-{name}"],
        **options,
    )


def message(elem_id: str) -> gr.HTML:
    """An element for one sentence about what went wrong, empty until then."""
    return element("message", elem_id=elem_id)


def in_turn(event: Dependency) -> None:
    """Have the page's script called once this event is answered or failed; see ``turns.js``."""
    for ended in (event.then, event.failure):
        ended(None, None, None, js="() => playground.turns.over()", **QUICK)
