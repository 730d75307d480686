"""One step's distribution: the model's probabilities beside the recipe's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import plotly.graph_objects as go

from playground.charts import text
from playground.charts.base import MONO, figure, tint
from playground.charts.candidates import Bar, rows
from playground.colours import MODEL_GREY
from playground.trace import StepRecord, Trace

ROW = 22  # pixels


def distribution(
    step: StepRecord, trace: Trace, colour: str, stage: int | None = None, limit: int = 12
) -> go.Figure:
    """The likeliest tokens as pairs of bars, raw (grey) above after ``stage`` (``colour``).

    ``stage`` indexes ``trace.stages``: −1 shows the model alone, None the last. The chosen token is
    always shown, however unlikely; at most ``limit`` others are, and the rest are one pair. The
    rows are the same at every ``stage``, so that going through the stages moves bars alone.
    """
    stage = len(trace.stages) - 1 if stage is None else stage
    bars = rows(step, trace, stage, limit)
    longest = max(max(bar.raw, bar.shown) for bar in bars) or 1.0
    paired = stage >= 0
    offset, width = (0.19, 0.36) if paired else (0.0, 0.5)
    data: list[dict[str, Any]] = [
        {
            "type": "bar",
            "orientation": "h",
            "name": "model",
            "x": [bar.raw for bar in bars],
            "y": [bar.y - offset for bar in bars],
            "width": width,
            "marker": {
                "color": [_grey(bar) for bar in bars],
                "line": {
                    "color": MODEL_GREY,
                    "width": [1 if bar.removed_by is not None else 0 for bar in bars],
                },
            },
            "customdata": [[bar.trail] for bar in bars],
            "hovertemplate": "%{customdata[0]}<extra></extra>",
        }
    ]
    if paired:
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": "recipe",
                "x": [bar.shown for bar in bars],
                "y": [bar.y + offset for bar in bars],
                "width": width,
                "marker": {"color": [tint(colour, 0.45) if bar.others else colour for bar in bars]},
                "customdata": [[bar.trail] for bar in bars],
                "hovertemplate": "%{customdata[0]}<extra></extra>",
            }
        )
    bottom = bars[-1].y + 0.6
    cuts = _cuts(bars)
    notes = [_note(removed, run, trace, longest) for removed, run in cuts]
    return figure(
        data,
        barmode="overlay",
        height=round(ROW * (bottom + 0.6)) + 8,
        margin={"l": 8, "r": 118, "t": 4, "b": 4},
        xaxis={"range": [0, longest * 1.02], "visible": False, "fixedrange": True},
        yaxis={
            "range": [bottom, -0.6],
            "tickvals": [bar.y for bar in bars],
            "ticktext": [
                f"<b>▸ {label}</b> " if bar.chosen else f"{label} "
                for bar, label in ((bar, text.literal(bar.label)) for bar in bars)
            ],
            "tickfont": {"family": MONO, "size": 12},
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
            "automargin": "width",
        },
        shapes=[
            *(_band(bar, colour) for bar in bars if bar.chosen),
            *(line for _, run in cuts for line in _bracket(run, longest)),
        ],
        annotations=[*notes, *(_value(bar, paired, [note["y"] for note in notes]) for bar in bars)],
    )


def _grey(bar: Bar) -> str:
    if bar.removed_by is not None:
        return "rgba(0,0,0,0)"
    return tint(MODEL_GREY, 0.45 if bar.others else 1.0)


def _band(bar: Bar, colour: str) -> dict[str, Any]:
    """A band of the column's colour behind the chosen token's row."""
    return {
        "type": "rect",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": bar.y - 0.5,
        "y1": bar.y + 0.5,
        "fillcolor": tint(colour, 0.16),
        "line": {"width": 0},
        "layer": "below",
    }


def _value(bar: Bar, paired: bool, noted: Sequence[float]) -> dict[str, Any]:
    """A row's numbers; where a note may overlap them on a narrow page, they are named ``wide``."""
    raw = text.literal(text.percent(bar.raw).rjust(5, "\u00a0"))
    value = f"{raw} → {text.literal(text.percent(bar.shown))} %" if paired else f"{raw} %"
    crowded = bar.removed_by is not None and any(abs(bar.y - y) < 0.6 for y in noted)
    return {
        "name": "wide" if crowded else "value",
        "xref": "paper",
        "x": 1,
        "xanchor": "left",
        "y": bar.y,
        "text": f"<b>{value}</b>" if bar.chosen else value,
        "showarrow": False,
        "font": {"family": MONO, "size": 12},
        "opacity": 0.6 if bar.removed_by is not None or bar.others else 1.0,
    }


def _cuts(bars: Sequence[Bar]) -> list[tuple[int, list[Bar]]]:
    """Stages, each with adjacent rows that it removed."""
    groups = groupby(bars, key=lambda bar: bar.removed_by)
    return [(stage, list(rows)) for stage, rows in groups if stage is not None]


def _beside(rows: Sequence[Bar], longest: float) -> float | None:
    """The position right of these bars at which words fit; None where they do not."""
    reach = max(bar.raw for bar in rows)
    return reach if reach < 0.4 * longest else None


def _note(stage: int, rows: Sequence[Bar], trace: Trace, longest: float) -> dict[str, Any]:
    """A note on the step that removed these rows: beside their bars, or below the first bar."""
    reach = _beside(rows, longest)
    return {
        "x": reach or 0,
        "xanchor": "left",
        "xshift": 8 if reach is None else 14,
        "y": rows[0].y + 0.22 if reach is None else (rows[0].y + rows[-1].y) / 2,
        "text": f"removed by {text.literal(trace.chain.processors[stage].label)}",
        "showarrow": False,
        "font": {"size": 11},
        "opacity": 0.8,
    }


def _bracket(rows: Sequence[Bar], longest: float) -> list[dict[str, Any]]:
    """A line along the rows that a note is about."""
    reach = _beside(rows, longest)
    if reach is None:
        return []
    return [
        {
            "type": "line",
            "xsizemode": "pixel",
            "xanchor": reach,
            "x0": 8,
            "x1": 8,
            "y0": rows[0].y - 0.4,
            "y1": rows[-1].y + 0.4,
            "line": {"color": MODEL_GREY, "width": 1},
        }
    ]
