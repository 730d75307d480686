"""A Plotly figure on the page, drawn by the plotly.js of the installed plotly package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import plotly

from playground.ui.element import element

LIBRARY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def plot(value: dict[str, Any] | None = None, **options: Any) -> gr.HTML:
    """The element; ``drawing`` makes its value, its event ``point`` is a click on a point.

    ``gr.Plot`` makes its node anew at each update, which loses zoom and handlers, and has no event
    for clicks.
    """
    gr.set_static_paths(LIBRARY)
    return element("plot", value, constants={"source": LIBRARY.as_posix()}, **options)
