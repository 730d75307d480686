"""A run from submission to its last token: tokenising the prompt, waiting, prefill, decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from playground.charts import text
from playground.charts.base import badge, called, figure, named, tint
from playground.colours import COLOURS, INKS, LETTERS, MODEL_GREY
from playground.trace import Comparison

ROW = 50  # pixels
PARTS = ("tokenise", "wait", "read", "write")
NAMES = ("cutting the prompt into tokens", "waiting", "reading the prompt", "writing")
THIN = 1 / 500  # of the longest bar: about a pixel


def timeline(comparison: Comparison) -> go.Figure:
    """A bar a lane along the time since submission, with the lengths of its parts above it.

    Prefill ends with the choice of the first token. Where lanes ran alone, each has its own zero.
    """
    lanes = range(len(comparison.lanes))
    bars = [spans(comparison, lane) for lane in lanes]
    end = max((ends[-1] for ends in bars), default=0.0)
    unit, scale = ("seconds", 1.0) if end >= 1 else ("milliseconds", 1e3)
    since = "its own start" if comparison.timings.alone else "Run"
    return figure(
        [
            part
            for lane in lanes
            for part in _parts(called(comparison, lane), lane, bars[lane], scale)
        ],
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


def spans(comparison: Comparison, lane: int) -> tuple[float, float, float, float]:
    """When each of ``PARTS`` ended for this lane, in seconds.

    The times in a run's records count from the end of tokenising.
    """
    path = comparison.lanes[lane].trace.path()
    if not path:
        return 0.0, 0.0, 0.0, 0.0
    whole = comparison.timings
    if whole.alone:
        return 0.0, 0.0, path[0].at, path[-1].at
    cut = whole.tokenize
    return cut, cut + min(whole.queued, path[0].at), cut + path[0].at, cut + path[-1].at


def lengths(comparison: Comparison, lane: int) -> list[float]:
    """Seconds of each of ``PARTS``."""
    ends = spans(comparison, lane)
    return [end - start for start, end in zip((0.0, *ends), ends, strict=False)]


def unseen(comparison: Comparison) -> list[str]:
    """The ``PARTS`` that are longer than 0, yet too short to be seen in any lane."""
    lanes = range(len(comparison.lanes))
    longest = max((spans(comparison, lane)[-1] for lane in lanes), default=0.0)
    most = [
        max(parts) for parts in zip(*(lengths(comparison, lane) for lane in lanes), strict=True)
    ]
    return [part for part, took in zip(PARTS, most, strict=True) if 0 < took < THIN * longest]


def _shades(lane: int) -> tuple[str, str, str, str]:
    return tint(MODEL_GREY, 0.65), tint(MODEL_GREY, 0.25), MODEL_GREY, COLOURS[lane]


def _parts(column: str, lane: int, ends: Sequence[float], scale: float) -> list[dict[str, Any]]:
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
            "hovertemplate": f"{column}, {name}: {text.milliseconds(end - start)}<extra></extra>",
        }
        for name, shade, start, end in zip(NAMES, _shades(lane), starts, ends, strict=False)
    ]


def _heading(comparison: Comparison, lane: int) -> list[dict[str, Any]]:
    told = "no token"
    if comparison.lanes[lane].trace.path():
        told = " ".join(
            f'<span style="color:{shade}">■</span> {part} {text.milliseconds(took)}'
            for part, shade, took in zip(
                PARTS, _shades(lane), lengths(comparison, lane), strict=True
            )
            if took > 0 or part == "write"
        )
    told = named(comparison, lane) + told
    where = {"y": lane - 0.24, "x": 0, "xanchor": "left"}
    return [
        badge(LETTERS[lane], COLOURS[lane], INKS[lane], **where),
        {"text": told, "font": {"size": 11}, "showarrow": False, "xshift": 18, **where},
    ]
