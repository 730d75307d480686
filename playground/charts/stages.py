"""Entropy and surviving tokens of one step's distribution after each stage of a recipe."""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go

from playground.charts import text
from playground.charts.base import figure, tint
from playground.colours import MODEL_GREY
from playground.trace import StageSummary, StepRecord, Trace

ROW = 46  # pixels


def stages(step: StepRecord, trace: Trace, colour: str, stage: int | None = None) -> go.Figure:
    """A bar of entropy (nats) for the model and after each stage, the shown ``stage`` marked.

    The outline reaches to ln(survivors), the entropy of that many equally likely tokens, so a
    filled outline is a uniform choice. ``stage`` as for ``distribution``; customdata holds it.
    """
    shown = len(trace.stages) - 1 if stage is None else stage
    rows = summaries(step, trace)
    y = list(range(len(rows)))
    ceilings = [math.log(summary.survivors) for _, summary in rows]
    longest = max(max(ceilings), max(s.entropy for _, s in rows), 0.1)
    colours = [MODEL_GREY] + [colour] * len(trace.stages)
    told = [
        f"{name}: {text.count(summary.survivors, 'token')}, "
        f"{summary.entropy:.2f} of at most {math.log(summary.survivors):.2f} nats"
        for name, summary in rows
    ]
    hover = [[number - 1, text.literal(line)] for number, line in enumerate(told)]
    bar = {
        "type": "bar",
        "orientation": "h",
        "y": [row + 0.16 for row in y],
        "width": 0.34,
        "customdata": hover,
        "hovertemplate": "%{customdata[1]}<extra></extra>",
    }
    outline = {"color": "rgba(0,0,0,0)", "line": {"color": colours, "width": 1}}
    return figure(
        [
            {**bar, "x": ceilings, "marker": outline},
            {**bar, "x": [s.entropy for _, s in rows], "marker": {"color": colours}},
        ],
        barmode="overlay",
        height=ROW * len(rows) + 12,
        margin={"l": 8, "r": 104, "t": 6, "b": 6},
        xaxis={"range": [0, longest * 1.01], "visible": False, "fixedrange": True},
        yaxis={"range": [len(rows) - 0.5, -0.5], "visible": False, "fixedrange": True},
        shapes=[
            {
                "type": "rect",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": shown + 0.5,
                "y1": shown + 1.5,
                "fillcolor": tint(colours[shown + 1], 0.16),
                "line": {"width": 0},
                "layer": "below",
            }
        ],
        annotations=[
            part for row, (name, summary) in enumerate(rows) for part in _labels(row, name, summary)
        ],
    )


def summaries(step: StepRecord, trace: Trace) -> list[tuple[str, StageSummary]]:
    """Summaries of the model's distribution and of each stage's, each with its label."""
    model = StageSummary(survivors=trace.vocab_size, entropy=step.raw_entropy)
    names = [step.label for step in trace.chain.processors]
    return [("model", model), *zip(names, step.stages, strict=True)]


def _labels(row: int, name: str, summary: StageSummary) -> list[dict[str, Any]]:
    return [
        {
            "x": 0,
            "xanchor": "left",
            "xshift": 2,
            "y": row - 0.24,
            "text": text.literal(name),
            "showarrow": False,
        },
        {
            "xref": "paper",
            "x": 1,
            "xanchor": "left",
            "xshift": 6,
            "y": row,
            "align": "left",
            "text": f"{summary.entropy:.2f} nats<br>{text.count(summary.survivors, 'token')}",
            "showarrow": False,
        },
    ]
