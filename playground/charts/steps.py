"""Entropy and the chosen token's probability along the text, every lane on one axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from playground.charts import text
from playground.charts.base import badge, figure, tint
from playground.colours import COLOURS, INKS, LETTERS
from playground.trace import Comparison, StepRecord

WINDOW = 8  # tokens a running mean covers
FLOOR = 1e-5  # probabilities below are drawn here; the hover says what they are


def steps(
    comparison: Comparison, selected: tuple[int, int] | None = None, after: bool = False
) -> go.Figure:
    """Entropy (nats) above, probability of the chosen token (log axis) below, token by token.

    Raw, or ``after`` the recipe. Points are tokens; where a text is long enough the line is their
    running mean over 8 tokens. ``selected`` is a (lane, step) to ring; customdata holds both.
    """
    data: list[dict[str, Any]] = []
    paths = [lane.trace.path() for lane in comparison.lanes]
    longest = max((len(path) for path in paths), default=0)
    for number, path in enumerate(paths):
        if not path:
            continue
        for axis in ("y", "y2"):
            data += _lane(number, path, axis, after, selected)
    return figure(
        data,
        height=360,
        margin={"l": 52, "r": 30, "t": 6, "b": 40},
        hovermode="closest",
        hoverdistance=14,
        xaxis={
            "title": {"text": "token"},
            "range": [0.4, max(longest, 2) + 0.6],
            "anchor": "y2",
            "showgrid": False,
        },
        yaxis={
            "domain": [0.55, 1],
            "title": {"text": "entropy, nats"},
            "rangemode": "tozero",
            "nticks": 5,
            "fixedrange": True,
        },
        yaxis2={
            "domain": [0, 0.45],
            "title": {"text": "probability"},
            "type": "log",
            "fixedrange": True,
            "tickvals": [1, 0.1, 0.01, 0.001, 1e-4, FLOOR],
            "ticktext": ["100 %", "10 %", "1 %", "0.1 %", "0.01 %", "≤0.001 %"],
            "range": [-4.2, 0.15],
        },
        annotations=_badges(comparison, paths, after),
    )


def series(path: Sequence[StepRecord], after: bool) -> tuple[list[float], list[float]]:
    """Entropy and probability of every step, raw or after the recipe."""
    if after:
        return [step.entropy for step in path], [step.probability for step in path]
    return [step.raw_entropy for step in path], [step.raw_probability for step in path]


def smooth(values: Sequence[float]) -> list[float] | None:
    """The running mean over ``WINDOW`` values, centred, shorter at the ends; None for short texts."""
    if len(values) < 2 * WINDOW:
        return None
    half = WINDOW // 2
    windows = [values[max(0, i - half) : i + half] for i in range(len(values))]
    return [sum(window) / len(window) for window in windows]


def _drawn(path: Sequence[StepRecord], axis: str, after: bool) -> tuple[list[float], list[float]]:
    """Values of the points and of the line. On the log axis the mean is geometric."""
    entropy, probability = series(path, after)
    if axis == "y":
        return entropy, smooth(entropy) or entropy
    floored = [max(p, FLOOR) for p in probability]
    logs = smooth([math.log(p) for p in floored])
    return floored, [math.exp(value) for value in logs] if logs else floored


def _lane(
    number: int,
    path: Sequence[StepRecord],
    axis: str,
    after: bool,
    selected: tuple[int, int] | None,
) -> list[dict[str, Any]]:
    points, line = _drawn(path, axis, after)
    colour = COLOURS[number]
    x = [step.index + 1 for step in path]
    ringed = [selected == (number, step.index) for step in path]
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": x,
            "y": [float(f"{value:.4g}") for value in line],
            "yaxis": axis,
            "line": {"color": colour, "width": 2},
            "hoverinfo": "skip",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "x": x,
            "y": [float(f"{value:.4g}") for value in points],
            "yaxis": axis,
            "marker": {
                "color": [colour if ring else tint(colour, 0.45) for ring in ringed],
                "size": [12 if ring else 5 for ring in ringed],
                "line": {"width": 0},
            },
            "customdata": [[number, step.index, _hover(number, step)] for step in path],
            "hovertemplate": "%{customdata[2]}<extra></extra>",
        },
    ]


def _hover(number: int, step: StepRecord) -> str:
    return (
        f"<b>{LETTERS[number]}, token {step.index + 1}: {text.token(step.text, 40)}</b><br>"
        f"entropy {step.raw_entropy:.2f} nats, after the recipe {step.entropy:.2f}<br>"
        f"probability {text.percent(step.raw_probability)} %, "
        f"after the recipe {text.percent(step.probability)} %"
    )


def _badges(
    comparison: Comparison, paths: Sequence[Sequence[StepRecord]], after: bool
) -> list[dict[str, Any]]:
    """Each lane's letter at the end of its line, pushed apart where lines end together."""
    badges = []
    for axis, (low, high), share in (("y", (0.0, None), 0.13), ("y2", (-4.2, 0.15), 0.13)):
        ends = []
        for number, path in enumerate(paths):
            if path:
                last = _drawn(path, axis, after)[1][-1]
                ends.append((math.log10(last) if axis == "y2" else last, number))
        top = high if high is not None else max(
            (value for path in paths for value in _drawn(path, axis, after)[0]), default=1.0
        )
        for at, number in spread(ends, low, top, share * (top - low)):
            badges.append(
                badge(
                    LETTERS[number],
                    COLOURS[number],
                    INKS[number],
                    xref="paper",
                    x=1,
                    xanchor="left",
                    xshift=6,
                    yref=axis,
                    y=at,
                )
            )
    return badges


def spread(
    ends: Sequence[tuple[float, int]], low: float, high: float, apart: float
) -> list[tuple[float, int]]:
    """Positions at least ``apart`` from each other, near the ones asked for and within the axis."""
    placed = sorted(ends)
    for i in range(1, len(placed)):
        at, number = placed[i]
        placed[i] = (max(at, placed[i - 1][0] + apart), number)
    ceiling = high
    for i in reversed(range(len(placed))):
        at, number = placed[i]
        placed[i] = (min(at, ceiling), number)
        ceiling = placed[i][0] - apart
    return placed
