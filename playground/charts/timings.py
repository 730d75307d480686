"""Where the time of a run went: per step and lane, and from the submission to the last token."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

import plotly.graph_objects as go

from playground.charts import text
from playground.charts.base import badge, figure, tint
from playground.colours import COLOURS, INKS, LETTERS, MODEL_GREY
from playground.metrics import timings as lane_timings
from playground.trace import Comparison, StepRecord

PARTS = ("forward", "processors", "search", "record")
BINS = 128  # bars a panel shows at most; beyond, one bar is the mean of several steps
PANEL = 86  # pixels
LOW_PANEL = 68  # where there are more than three
HEADING = 26


def decode_steps(comparison: Comparison, lane: int) -> list[StepRecord]:
    """The shown text's steps that had a forward pass of their own: all but the first token."""
    return comparison.lanes[lane].trace.path()[1:]


def per_step(comparison: Comparison, selected: tuple[int, int] | None = None) -> go.Figure:
    """Milliseconds of every decode step, a panel a lane: forward, processors, search, record.

    The first token is left out: it is chosen from the prompt's own pass. ``selected`` is (lane,
    step) of a token to mark; customdata of a bar holds the lane and step it stands for.
    """
    lanes = range(len(comparison.lanes))
    longest = max((len(decode_steps(comparison, lane)) for lane in lanes), default=0)
    size = -(-longest // BINS) if longest else 1
    data: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    top = 0.0
    for lane in lanes:
        steps = decode_steps(comparison, lane)
        groups = [steps[i : i + size] for i in range(0, len(steps), size)]
        axis = "" if lane == 0 else str(lane + 1)
        heights = [
            [1e3 * fmean(getattr(s.times, part) for s in g) for g in groups] for part in PARTS
        ]
        top = max([top, *(sum(stack) for stack in zip(*heights, strict=True))])
        for part, shade, height in zip(PARTS, shades(lane), heights, strict=True):
            data.append(
                {
                    "type": "bar",
                    "name": part,
                    "x": [group[0].index + 1 + (len(group) - 1) / 2 for group in groups],
                    "y": [round(value, 3) for value in height],
                    "width": size * (0.8 if size == 1 else 1.0),
                    "yaxis": f"y{axis}",
                    "marker": {"color": shade, "line": {"width": 0}},
                    "customdata": [[lane, group[0].index, _name(lane, group)] for group in groups],
                    "hovertemplate": f"%{{customdata[2]}}<br>{part} %{{y:.2f}} ms<extra></extra>",
                }
            )
        annotations += _heading(lane, steps, axis)
        if selected and selected[0] == lane and selected[1] > 0:
            shapes.append(_mark(selected[1] + 1, axis, size))
    panel = PANEL if len(comparison.lanes) <= 3 else LOW_PANEL
    share = 1.0 / max(1, len(comparison.lanes))
    for lane in lanes:
        bottom = 1.0 - (lane + 1) * share
        layout["yaxis" if lane == 0 else f"yaxis{lane + 1}"] = {
            "domain": [bottom, bottom + share * (1 - HEADING / panel)],
            "range": [0, top * 1.12 or 1],
            "nticks": 3,
            "ticksuffix": " ms",
            "rangemode": "tozero",
            "fixedrange": True,
            "zeroline": True,
        }
    return figure(
        data,
        barmode="stack",
        bargap=0,
        height=panel * len(comparison.lanes) + 44,
        margin={"l": 52, "r": 8, "t": 2, "b": 40},
        xaxis={
            "title": {
                "text": "token" if size == 1 else f"token (a bar is the mean of {size} steps)"
            },
            "range": [1.4, max(longest, 1) + 1.6],
            "anchor": "free",
            "position": 0,
            "showgrid": False,
        },
        shapes=shapes,
        annotations=annotations,
        **layout,
    )


def _name(lane: int, group: Sequence[StepRecord]) -> str:
    first, last = group[0], group[-1]
    if first is last:
        return f"{LETTERS[lane]}, token {first.index + 1}: {text.token(text.piece(first), 40)}"
    return f"{LETTERS[lane]}, tokens {first.index + 1} to {last.index + 1}"


def _heading(lane: int, steps: Sequence[StepRecord], axis: str) -> list[dict[str, Any]]:
    """The panel's letter and the medians of the lane's own work, in the order of the stack."""
    parts = [
        f'<span style="color:{shade}">■</span> {part} '
        f"{_short(median(getattr(s.times, part) for s in steps))}"
        for part, shade in zip(PARTS[1:], shades(lane)[1:], strict=True)
        if steps
    ]
    told = " ".join(parts) + " ms" if parts else "no decode step"
    where = {"xref": "paper", "x": 0, "xanchor": "left", "showarrow": False}
    height = {"yref": f"y{axis} domain", "y": 1, "yanchor": "bottom", "yshift": 3}
    return [
        badge(LETTERS[lane], COLOURS[lane], INKS[lane], xshift=-50, **where, **height),
        {"text": told, "font": {"size": 11}, "xshift": -31, **where, **height},
    ]


def shades(lane: int) -> tuple[str, str, str, str]:
    """Grey for the model's forward pass, the column's colour paling through its own work."""
    colour = COLOURS[lane]
    return MODEL_GREY, colour, tint(colour, 0.65), tint(colour, 0.38)


def _short(seconds: float) -> str:
    value = 1e3 * seconds
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _mark(token: int, axis: str, size: int) -> dict[str, Any]:
    """A frame around the selected token's bar."""
    return {
        "type": "rect",
        "yref": f"y{axis} domain",
        "x0": token - 0.5,
        "x1": token + size - 0.5,
        "y0": 0,
        "y1": 1,
        "fillcolor": tint(MODEL_GREY, 0.25),
        "line": {"width": 0},
        "layer": "below",
    }


def timeline(comparison: Comparison) -> go.Figure:
    """The time from the run's submission: waiting, reading the prompt, writing, a bar a lane.

    Reading the prompt is the prefill and the first token's choice. Where lanes ran alone, each
    counts from its own start.
    """
    rows = len(comparison.lanes)
    bars = [spans(comparison, lane) for lane in range(rows)]
    end = max((last for *_, last in bars), default=0.0)
    alone = comparison.timings.alone
    unit, scale = ("seconds", 1.0) if end >= 1 else ("milliseconds", 1e3)
    data = []
    annotations = []
    for lane, (waited, first, last) in enumerate(bars):
        colour = COLOURS[lane]
        start = 0.0
        for part, until, shade in (
            ("waiting", waited, tint(MODEL_GREY, 0.3)),
            ("reading the prompt", first, MODEL_GREY),
            ("writing", last, colour),
        ):
            told = f"{LETTERS[lane]}, {part}: {text.milliseconds(until - start)}"
            data.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "base": [scale * start],
                    "x": [scale * (until - start)],
                    "y": [lane + 0.2],
                    "width": 0.34,
                    "marker": {"color": shade, "line": {"width": 0}},
                    "hovertemplate": f"{told}<extra></extra>",
                }
            )
            start = until
        annotations += _times(comparison, lane, colour)
    return figure(
        data,
        barmode="overlay",
        height=50 * rows + 52,
        margin={"l": 8, "r": 12, "t": 2, "b": 40},
        xaxis={
            "range": [0, scale * end * 1.02 or 1],
            "title": {"text": f"{unit} since {'its own start' if alone else 'Run'}"},
            "rangemode": "tozero",
            "fixedrange": True,
            "nticks": 6,
        },
        yaxis={"range": [rows - 0.5, -0.5], "visible": False, "fixedrange": True},
        annotations=annotations,
    )


def spans(comparison: Comparison, lane: int) -> tuple[float, float, float]:
    """When this lane stopped waiting, had its first token, and had its last, in seconds."""
    path = comparison.lanes[lane].trace.path()
    if not path:
        return 0.0, 0.0, 0.0
    whole = comparison.timings
    waited = 0.0 if whole.alone else min(whole.queued + whole.tokenize, path[0].at)
    return waited, path[0].at, path[-1].at


def _times(comparison: Comparison, lane: int, colour: str) -> list[dict[str, Any]]:
    times = lane_timings(comparison.lanes[lane].trace.path())
    told = "no token"
    if times.first_token is not None:
        told = f"first token {text.milliseconds(times.first_token)}"
    if times.per_token is not None:
        told += f", then {text.milliseconds(times.per_token)} per token"
    where = {"y": lane - 0.24, "x": 0, "xanchor": "left"}
    return [
        badge(LETTERS[lane], colour, INKS[lane], **where),
        {"text": told, "showarrow": False, "xshift": 20, **where},
    ]


def shared_rows(comparison: Comparison) -> tuple[int, int] | None:
    """Fewest and most rows that one decode forward was shared by; None without a decode step."""
    rows = [
        step.times.forward_rows
        for lane in range(len(comparison.lanes))
        for step in decode_steps(comparison, lane)
    ]
    return (min(rows), max(rows)) if rows else None
