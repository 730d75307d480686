"""Entropy and the chosen token's probability along the text, every lane on one axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from playground.charts import text
from playground.charts.base import badge, called, figure, spread, tint
from playground.colours import COLOURS, INKS, LETTERS
from playground.trace import Comparison, StepRecord

WINDOW = 8  # tokens of the running mean
POINTS = 1000  # of all lanes; of more a browser draws each for too long
FLOOR = 1e-5  # probabilities below are drawn here
DECADES = {0: "100 %", -1: "10 %", -2: "1 %", -3: "0.1 %", -4: "0.01 %", -5: "≤ 0.001 %"}
APART = 0.13  # least distance of two letters, as a share of a panel's height


def steps(comparison: Comparison, after: bool = False, reference: int | None = None) -> go.Figure:
    """Entropy (nats) above, probability of the chosen token (log axis) below, token by token.

    Of the raw distribution, or of that ``after`` the recipe. Points are tokens, which a thin line
    joins where there are too many to tell apart; where a text is long enough, the thick line is
    their running mean over 8 tokens. A dotted line in a lane's colour marks where it parts from the
    lane ``reference``, or from the one before it. customdata of a point holds its lane and step.
    """
    paths = [lane.trace.path() for lane in comparison.lanes]
    drawn = [_Values(path, after) for path in paths]
    longest = max((len(path) for path in paths), default=0)
    joined = sum(map(len, paths)) > POINTS
    top = max((max(values.entropy, default=0.0) for values in drawn), default=0.0) * 1.08 or 1.0
    least = min((min(values.probability, default=1.0) for values in drawn), default=1.0)
    bottom = min(-1, math.floor(math.log10(least)))
    data: list[dict[str, Any]] = []
    badges: list[dict[str, Any]] = []
    for axis, low, high in (("y", 0.0, top), ("y2", bottom - 0.15, 0.12)):
        ends = {}
        for number, (path, values) in enumerate(zip(paths, drawn, strict=True)):
            if path:
                points, line = values.on(axis)
                data += _lane(called(comparison, number), number, path, points, line, axis, joined)
                ends[number] = math.log10(line[-1]) if axis == "y2" else line[-1]
        badges += [
            _letter(number, at, axis)
            for number, at in spread(ends, low, high, APART * (high - low)).items()
        ]
    ticks = range(bottom, 1)
    return figure(
        data,
        height=340,
        margin={"l": 60, "r": 30, "t": 22, "b": 40},
        hovermode="closest",
        hoverdistance=14,
        xaxis={
            "title": {"text": "token"},
            "range": [0.4, max(longest, 2) + 0.6],
            "anchor": "y2",
            "showgrid": False,
        },
        yaxis={"domain": [0.57, 1], "range": [0, top], "nticks": 5, "fixedrange": True},
        yaxis2={
            "domain": [0, 0.44],
            "type": "log",
            "range": [bottom - 0.15, 0.12],
            "tickvals": [10.0**decade for decade in ticks],
            "ticktext": [DECADES[decade] for decade in ticks],
            "fixedrange": True,
        },
        shapes=[
            _parted(lane, parted.step, axis)
            for lane, parted in partings(comparison, reference).items()
            for axis in ("y", "y2")
        ],
        annotations=[
            _heading("entropy, nats", "y domain"),
            _heading("probability of the chosen token", "y2 domain"),
            *badges,
        ],
    )


@dataclass(frozen=True)
class Parted:
    """The first token, from 0, that differs from the lane ``reference``'s."""

    reference: int
    step: int


def partings(comparison: Comparison, reference: int | None = None) -> dict[int, Parted]:
    """Where each lane parts from the lane ``reference``, or from the one before it.

    A lane of which no token differs is left out.
    """
    tokens = [lane.token_ids for lane in comparison.lanes]
    found = {}
    for lane, mine in enumerate(tokens):
        other = lane - 1 if reference is None or reference >= len(tokens) else reference
        if other < 0 or other == lane:
            continue
        pairs = enumerate(zip(tokens[other], mine, strict=False))
        step = next((i for i, (a, b) in pairs if a != b), None)
        if step is not None:
            found[lane] = Parted(other, step)
    return found


def _parted(lane: int, step: int, axis: str) -> dict[str, Any]:
    return {
        "type": "line",
        "yref": f"{axis} domain",
        "x0": step + 1,
        "x1": step + 1,
        "y0": 0,
        "y1": 1,
        "line": {"color": COLOURS[lane], "width": 1, "dash": "dot"},
        "layer": "below",
    }


class _Values:
    """A lane's entropies and probabilities, floored for the log axis."""

    def __init__(self, path: Sequence[StepRecord], after: bool) -> None:
        self.entropy = [step.entropy if after else step.raw_entropy for step in path]
        self.probability = [
            max(FLOOR, step.probability if after else step.raw_probability) for step in path
        ]

    def on(self, axis: str) -> tuple[list[float], list[float]]:
        """Points and line of one panel; on the log axis the running mean is geometric."""
        if axis == "y":
            return self.entropy, smooth(self.entropy)
        logs = smooth([math.log(p) for p in self.probability])
        return self.probability, [math.exp(value) for value in logs]


def smooth(values: Sequence[float]) -> list[float]:
    """The centred mean over ``WINDOW`` values, of fewer at the ends; short texts as they are."""
    if len(values) < 2 * WINDOW:
        return list(values)
    half = WINDOW // 2
    windows = [values[max(0, i - half) : i + half] for i in range(len(values))]
    return [math.fsum(window) / len(window) for window in windows]


def _lane(
    column: str,
    number: int,
    path: Sequence[StepRecord],
    points: Sequence[float],
    line: Sequence[float],
    axis: str,
    joined: bool,
) -> list[dict[str, Any]]:
    colour = COLOURS[number]
    told = [f"{h:.2f} nats" for h in points]
    if axis == "y2":
        told = [text.literal(f"{text.percent(p)} %") for p in points]
    shared = {"type": "scatter", "x": [step.index + 1 for step in path], "yaxis": axis}
    return [
        {
            **shared,
            "mode": "lines",
            "y": [_rounded(value) for value in line],
            "line": {"color": colour, "width": 2},
            "hoverinfo": "skip",
        },
        {
            **shared,
            "mode": "lines" if joined else "markers",
            "y": [_rounded(value) for value in points],
            "line": {"color": tint(colour, 0.3), "width": 1},
            "marker": {"color": tint(colour, 0.55), "size": 5, "line": {"width": 0}},
            "customdata": [
                [number, step.index, text.token(text.piece(step), 40), value]
                for step, value in zip(path, told, strict=True)
            ],
            "hovertemplate": f"<b>{column}, token %{{x}}: %{{customdata[2]}}</b><br>"
            "%{customdata[3]}<extra></extra>",
        },
    ]


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _heading(told: str, panel: str) -> dict[str, Any]:
    return {
        "text": told,
        "xref": "paper",
        "x": 0,
        "xanchor": "left",
        "yref": panel,
        "y": 1,
        "yanchor": "bottom",
        "yshift": 2,
        "showarrow": False,
    }


def _letter(number: int, at: float, axis: str) -> dict[str, Any]:
    """A lane's letter at the right end of its line."""
    where = {"xref": "paper", "x": 1, "xanchor": "left", "xshift": 6, "yref": axis, "y": at}
    return badge(LETTERS[number], COLOURS[number], INKS[number], **where)
