"""A Plotly figure on the page, drawn by the plotly.js of the installed plotly package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr
import plotly
import plotly.graph_objects as go

from playground.ui.element import element

LIBRARY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def plot(value: dict[str, Any] | None = None, **options: Any) -> gr.HTML:
    """The element; its value comes from ``drawing``, its event ``point`` is a click on a point.

    ``gr.Plot`` makes its node anew at each update, which loses zoom and handlers, and has no event
    for clicks.
    """
    gr.set_static_paths(LIBRARY)
    return element("plot", value, constants={"source": LIBRARY.as_posix()}, **options)


def drawing(figure: go.Figure | None, sentence: str, view: str = "") -> dict[str, Any]:
    """A figure, the sentence above it, and the view whose zoom it keeps, as the element's value.

    Without a figure only the sentence is shown.
    """
    made = None if figure is None else json.loads(figure.to_json())
    return {"figure": made, "sentence": sentence, "view": view}
