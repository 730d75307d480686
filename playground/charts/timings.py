"""The time of every step of a run: the forward pass that rows share, and each lane's own work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import plotly.graph_objects as go

from playground.charts.base import badge, called, figure, named, tint
from playground.colours import COLOURS, INKS, LETTERS, MODEL_GREY
from playground.trace import Comparison, StepRecord

PARTS = ("forward", "processors", "search", "record")
BINS = 128  # bars a panel shows at most; beyond, one bar is the mean of several steps
LOW_BINS = 64  # where there are more than three panels
PANEL = 86  # pixels
LOW_PANEL = 68  # where there are more than three
HEADING = 26


def decode_steps(comparison: Comparison, lane: int) -> list[StepRecord]:
    """The steps of a lane's first text that had a forward pass: all but that of the first token."""
    return comparison.lanes[lane].trace.path()[1:]


def shared_rows(comparison: Comparison) -> tuple[int, int] | None:
    """Fewest and most rows that one decode forward was shared by; None without a decode step."""
    rows = [
        step.times.forward_rows
        for lane in range(len(comparison.lanes))
        for step in decode_steps(comparison, lane)
    ]
    return (min(rows), max(rows)) if rows else None


@dataclass(frozen=True)
class Rates:
    """Tokens a second: of the slowest lane, of the fastest, and of all rows in the batch.

    The last one divides the rows of each forward by the time from one token to the next.
    """

    slowest: float
    fastest: float
    machine: float


def rates(comparison: Comparison) -> Rates | None:
    """The rates of a run; None without a decode step, or where every lane has drafted tokens.

    The scores after several drafted tokens are from one forward.
    """
    lanes = [
        lane.metrics.timings.tokens_per_second
        for lane in comparison.lanes
        if lane.metrics.timings.tokens_per_second
    ]
    plain = [
        lane.trace.path()
        for lane in comparison.lanes
        if all(step.draft is None for step in lane.trace.steps)
    ]
    path = max(plain, key=len, default=[])
    if not lanes or len(path) < 2 or path[-1].at <= path[0].at:
        return None
    rows = sum(step.times.forward_rows for step in path[1:])
    return Rates(min(lanes), max(lanes), rows / (path[-1].at - path[0].at))


def per_step(comparison: Comparison) -> go.Figure:
    """Milliseconds of every decode step, a panel a lane: forward, processors, search, record.

    The first token is left out: it is chosen from the logits of the prefill. customdata of a bar
    begins with its lane and step.
    """
    steps = [decode_steps(comparison, lane) for lane in range(len(comparison.lanes))]
    longest = max(map(len, steps), default=0)
    panel, bins = (PANEL, BINS) if len(steps) <= 3 else (LOW_PANEL, LOW_BINS)
    size = max(1, -(-longest // bins))
    data = [
        trace
        for lane, path in enumerate(steps)
        for trace in _bars(called(comparison, lane), lane, path, size)
    ]
    stacks = zip(*[iter(data)] * len(PARTS), strict=True)
    top = max(
        (sum(stack) for bars in stacks for stack in zip(*(b["y"] for b in bars), strict=True)),
        default=1.0,
    )
    unit = "token" if size == 1 else f"token (a bar is the mean of {size} steps)"
    return figure(
        data,
        barmode="stack",
        bargap=0,
        height=panel * len(steps) + 44,
        margin={"l": 52, "r": 8, "t": 2, "b": 40},
        xaxis={
            "title": {"text": unit},
            "range": [1.4, max(longest, 1) + 1.6],
            "anchor": "free",
            "position": 0,
            "showgrid": False,
        },
        annotations=[
            part for lane, path in enumerate(steps) for part in _heading(comparison, lane, path)
        ],
        **{
            f"yaxis{_axis(lane)}": _panel(lane, len(steps), top, HEADING / panel)
            for lane in range(len(steps))
        },
    )


def shades(lane: int) -> tuple[str, str, str, str]:
    """Grey for the forward pass, and three tints of the column's colour for its own work."""
    colour = COLOURS[lane]
    return MODEL_GREY, colour, tint(colour, 0.65), tint(colour, 0.38)


def _axis(lane: int) -> str:
    return "" if lane == 0 else str(lane + 1)


def _panel(lane: int, lanes: int, top: float, heading: float) -> dict[str, Any]:
    bottom = 1.0 - (lane + 1) / lanes
    return {
        "domain": [bottom, bottom + (1 - heading) / lanes],
        "range": [0, top * 1.12],
        "nticks": 3,
        "ticksuffix": " ms",
        "fixedrange": True,
        "zeroline": True,
    }


def _bars(column: str, lane: int, steps: Sequence[StepRecord], size: int) -> list[dict[str, Any]]:
    """A trace for each part, a bar for every ``size`` steps."""
    groups = [steps[i : i + size] for i in range(0, len(steps), size)]
    names = [[lane, group[0].index, _name(group)] for group in groups]
    return [
        {
            "type": "bar",
            "name": part,
            "x": [group[0].index + 1 + (size - 1) / 2 for group in groups],
            "y": [round(1e3 * fmean(getattr(s.times, part) for s in g), 3) for g in groups],
            "width": size * (0.8 if size == 1 else 1.0),
            "yaxis": f"y{_axis(lane)}",
            "marker": {"color": shade, "line": {"width": 0}},
            "customdata": names,
            "hovertemplate": f"{column}, %{{customdata[2]}}<br>{part} %{{y:.2f}} ms<extra></extra>",
        }
        for part, shade in zip(PARTS, shades(lane), strict=True)
    ]


def _name(group: Sequence[StepRecord]) -> str:
    first, last = group[0].index + 1, group[-1].index + 1
    return f"token {first}" if first == last else f"tokens {first} to {last}"


def _heading(
    comparison: Comparison, lane: int, steps: Sequence[StepRecord]
) -> list[dict[str, Any]]:
    """The panel's letter and the medians of the lane's own work, in the order of the stack."""
    parts = [
        f'<span style="color:{shade}">■</span> {part} '
        f"{_short(median(getattr(s.times, part) for s in steps))}"
        for part, shade in zip(PARTS[1:], shades(lane)[1:], strict=True)
        if steps
    ]
    told = " ".join(parts) + " ms" if parts else "no decode step"
    told = named(comparison, lane) + told
    where = {"xref": "paper", "x": 0, "xanchor": "left", "showarrow": False}
    height = {"yref": f"y{_axis(lane)} domain", "y": 1, "yanchor": "bottom", "yshift": 3}
    return [
        badge(LETTERS[lane], COLOURS[lane], INKS[lane], xshift=-50, **where, **height),
        {"text": told, "font": {"size": 11}, "xshift": -31, **where, **height},
    ]


def _short(seconds: float) -> str:
    value = 1e3 * seconds
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
