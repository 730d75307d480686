"""A run from its submission to its last token: waiting, reading the prompt, writing."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from playground.charts import text
from playground.charts.base import badge, figure, tint
from playground.colours import COLOURS, INKS, LETTERS, MODEL_GREY
from playground.metrics import timings
from playground.trace import Comparison

ROW = 50  # pixels


def timeline(comparison: Comparison) -> go.Figure:
    """A bar a lane along the time since Run, with its time to first token and per token.

    Reading the prompt is the prefill and the first token's choice. Where lanes ran alone, each
    counts from its own start.
    """
    lanes = range(len(comparison.lanes))
    bars = [spans(comparison, lane) for lane in lanes]
    end = max((last for *_, last in bars), default=0.0)
    unit, scale = ("seconds", 1.0) if end >= 1 else ("milliseconds", 1e3)
    since = "its own start" if comparison.timings.alone else "Run"
    return figure(
        [part for lane in lanes for part in _parts(lane, bars[lane], scale)],
        barmode="overlay",
        height=ROW * len(lanes) + 52,
        margin={"l": 8, "r": 12, "t": 2, "b": 40},
        xaxis={
            "range": [0, scale * end * 1.02 or 1],
            "title": {"text": f"{unit} since {since}"},
            "fixedrange": True,
            "nticks": 6,
        },
        yaxis={"range": [len(lanes) - 0.5, -0.5], "visible": False, "fixedrange": True},
        annotations=[part for lane in lanes for part in _heading(comparison, lane)],
    )


def spans(comparison: Comparison, lane: int) -> tuple[float, float, float]:
    """When this lane stopped waiting, had its first token, and had its last, in seconds."""
    path = comparison.lanes[lane].trace.path()
    if not path:
        return 0.0, 0.0, 0.0
    whole = comparison.timings
    waited = 0.0 if whole.alone else min(whole.queued + whole.tokenize, path[0].at)
    return waited, path[0].at, path[-1].at


def _parts(lane: int, ends: tuple[float, float, float], scale: float) -> list[dict[str, Any]]:
    names = ("waiting", "reading the prompt", "writing")
    shades = (tint(MODEL_GREY, 0.3), MODEL_GREY, COLOURS[lane])
    starts = (0.0, *ends)
    return [
        {
            "type": "bar",
            "orientation": "h",
            "base": [scale * start],
            "x": [scale * (end - start)],
            "y": [lane + 0.2],
            "width": 0.34,
            "marker": {"color": shade, "line": {"width": 0}},
            "hovertemplate": f"{LETTERS[lane]}, {name}: "
            f"{text.milliseconds(end - start)}<extra></extra>",
        }
        for name, shade, start, end in zip(names, shades, starts, ends, strict=False)
    ]


def _heading(comparison: Comparison, lane: int) -> list[dict[str, Any]]:
    times = timings(comparison.lanes[lane].trace.path())
    told = "no token"
    if times.first_token is not None:
        told = f"first token {text.milliseconds(times.first_token)}"
    if times.per_token is not None:
        told += f", then {text.milliseconds(times.per_token)} per token"
    where = {"y": lane - 0.24, "x": 0, "xanchor": "left"}
    return [
        badge(LETTERS[lane], COLOURS[lane], INKS[lane], **where),
        {"text": told, "showarrow": False, "xshift": 20, **where},
    ]
