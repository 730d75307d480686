"""What figures share: no template, and no colours but those of the series; the page sets others."""

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
    # All at once: update_layout takes three times as long, at every click on a token.
    drawn = go.Figure({"data": list(data), "layout": shared | layout})
    drawn.layout.template = None  # where it is made, None means Plotly's own
    return drawn


def tint(colour: str, alpha: float) -> str:
    """``#rrggbb`` at this opacity: it lets the theme's own background through, light or dark."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


def named(comparison: Comparison, lane: int) -> str:
    """What a person called the column, before its figures in a label; nothing where it has none."""
    name = _name(comparison, lane)
    return f"<b>{name}</b>  " if name else ""


def called(comparison: Comparison, lane: int) -> str:
    """The column in a hover's template: its letter, and what a person called it."""
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
    """Positions by lane, near those of ``ends``: at least ``apart``, and within the axis."""
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
