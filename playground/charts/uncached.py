"""One recipe measured twice: with a cache of keys and values, and without."""

from __future__ import annotations

from itertools import pairwise
from statistics import fmean
from typing import Any

import plotly.graph_objects as go

from playground.charts import text
from playground.charts.base import figure, spread, tint
from playground.charts.memory import held
from playground.colours import COLOURS, LETTERS
from playground.trace import Comparison

HEIGHT = 190  # pixels
EDGE = 4  # steps at either end whose mean the sentence gives
WHOLE = 12  # up to so many tokens have a tick each: Plotly would put ticks between them


def seconds(run: Comparison) -> list[float]:
    """Seconds of every token after the first, in the only lane of this run."""
    path = run.lanes[0].trace.path()
    return [after.at - before.at for before, after in pairwise(path)]


def uncached(lane: int, kept: Comparison, bare: Comparison | None) -> go.Figure | None:
    """Milliseconds of every step in both runs of column ``lane``; None before the first."""
    lines = [(name, seconds(run)) for name, run in (("with", kept), ("without", bare)) if run]
    drawn = [(name, [1e3 * one for one in steps]) for name, steps in lines if steps]
    if not drawn:
        return None
    top = 1.08 * max(max(steps) for _, steps in drawn)
    longest = max(len(steps) for _, steps in drawn)
    last = {i: steps[-1] for i, (_, steps) in enumerate(drawn)}
    ends = spread(last, 0, 0.97 * top, 0.1 * top)
    return figure(
        [_line(lane, name, steps) for name, steps in drawn],
        height=HEIGHT,
        margin={"l": 58, "r": 92, "t": 8, "b": 40},
        xaxis={
            "title": {"text": "token"},
            "range": [1.5, longest + 1.5],
            "tickformat": "d",
            **({"dtick": 1} if longest <= WHOLE else {}),
            "fixedrange": True,
            "showgrid": False,
        },
        yaxis={
            "range": [0, top],
            "ticksuffix": " ms",
            "nticks": 4,
            "fixedrange": True,
            "zeroline": True,
        },
        annotations=[
            {
                "text": f"{drawn[i][0]} the cache",
                "font": {"size": 11},
                "showarrow": False,
                "xref": "paper",
                "x": 1,
                "xshift": 6,
                "y": at,
                "xanchor": "left",
                "yanchor": "middle",
            }
            for i, at in ends.items()
        ],
    )


def _line(lane: int, name: str, steps: list[float]) -> dict[str, Any]:
    bare = name == "without"
    return {
        "type": "scatter",
        "mode": "lines" if len(steps) > 1 else "markers",
        "x": list(range(2, len(steps) + 2)),
        "y": [round(one, 3) for one in steps],
        "line": {"color": COLOURS[lane], "width": 2, "dash": "dot" if bare else "solid"},
        "marker": {"color": COLOURS[lane]},
        "fill": "tozeroy",
        "fillcolor": tint(COLOURS[lane], 0.08 if bare else 0.25),
        "hovertemplate": f"{LETTERS[lane]}, token %{{x}}: %{{y:.1f}} ms {name}<extra></extra>",
    }


def about_uncached(lane: int, kept: Comparison, bare: Comparison) -> str:
    """Both totals over as many tokens as both have, their ratio, and the memory of the cache."""
    steps, alone = seconds(kept), seconds(bare)
    count = min(len(steps), len(alone))
    told = f"Measured now, on this machine, column {LETTERS[lane]} alone: "
    if not count:
        return f"{told}too short a text to compare."
    fast, slow = sum(steps[:count]), sum(alone[:count])
    told += (
        f"{text.count(count, 'step')} took {text.milliseconds(fast)} with the cache and "
        f"{text.milliseconds(slow)} without it, where each reads the whole text again: "
        f"{slow / fast:.1f} times as long. "
    )
    if count >= 2 * EDGE:  # else both ends are made of the same steps
        told += (
            f"Without it a step went from {text.milliseconds(fmean(alone[:EDGE]))} to "
            f"{text.milliseconds(fmean(alone[count - EDGE : count]))}, with it from "
            f"{text.milliseconds(fmean(steps[:EDGE]))} to "
            f"{text.milliseconds(fmean(steps[count - EDGE : count]))}. "
        )
    per_token = kept.model.cache_bytes_per_token
    if per_token is None:
        return told.strip()
    return f"{told}The cache took {text.size(held(kept, 0)[count] * per_token)}."
