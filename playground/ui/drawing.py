"""The value of the element ``plot``: a Plotly figure and the sentence above it."""

from __future__ import annotations

import json
from typing import Any

import plotly.graph_objects as go


def drawing(figure: go.Figure | None, sentence: str, view: str = "") -> dict[str, Any]:
    """A figure, the sentence above it, and the view whose zoom it keeps, as the element's value.

    Without a figure only the sentence is shown.
    """
    made = None if figure is None else json.loads(figure.to_json())
    return {"figure": made, "sentence": sentence, "view": view}
