"""The common parts of figures: no template, and no colours but those of the series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from playground.charts.text import literal, visible
from playground.colours import LETTERS
from playground.trace import Comparison

MONO = "monospace"
LONGEST_NAME = 24  # characters of what a column is called


def figure(data: Sequence[dict[str, Any]], **layout: Any) -> go.Figure:
    """A figure of plain traces, without Plotly's 6 KB template or a background of its own."""
    shared = {
        "template": {},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": False,
        "font": {"size": 12},
        "hoverlabel": {"align": "left"},
    }
    # In one call: update_layout takes three times as long, at every click on a token. Checking
    # each value, which the tests of the charts do, takes as long again.
    drawn = go.Figure({"data": list(data), "layout": shared | layout}, _validate=False)
    drawn.layout.template = None  # in the constructor None would mean Plotly's default
    return drawn


def tint(colour: str, alpha: float) -> str:
    """``#rrggbb`` at this opacity, which fits a light and a dark background alike."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


def named(comparison: Comparison, lane: int) -> str:
    """The name a person gave the column, to be followed by its figures in a label; else empty."""
    name = _name(comparison, lane)
    return f"<b>{name}</b>  " if name else ""


def called(comparison: Comparison, lane: int) -> str:
    """The column in a hover template: its letter, and the name a person gave it."""
    name = _name(comparison, lane).replace("%{", "%&#123;")  # begins a variable in a template
    return f"{LETTERS[lane]} {name}" if name else LETTERS[lane]


def _name(comparison: Comparison, lane: int) -> str:
    name = comparison.lanes[lane].name
    return literal(visible(name, LONGEST_NAME, space=" ")) if name else ""


def badge(letter: str, colour: str, ink: str, **where: Any) -> dict[str, Any]:
    """An annotation that names a column as its header does: its letter on its colour."""
    return {
        "text": f"<b>{letter}</b>",
        "font": {"size": 11, "color": ink},
        "bgcolor": colour,
        "borderpad": 2,
        "showarrow": False,
        **where,
    }


def spread(ends: Mapping[int, float], low: float, high: float, apart: float) -> dict[int, float]:
    """Positions by lane, near those of ``ends``: ``apart`` at least, and within the axis."""
    order = sorted(ends, key=lambda lane: (ends[lane], lane))
    placed: dict[int, float] = {}
    floor = low
    for lane in order:
        placed[lane] = max(ends[lane], floor)
        floor = placed[lane] + apart
    ceiling = high
    for lane in reversed(order):
        placed[lane] = min(placed[lane], ceiling)
        ceiling = placed[lane] - apart
    return placed
