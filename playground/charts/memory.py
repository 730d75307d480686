"""Memory of a run: the keys and values of each lane, token by token."""

from __future__ import annotations

from collections import Counter
from typing import Any

import plotly.graph_objects as go

from playground.charts import text
from playground.charts.base import badge, called, figure, spread
from playground.colours import COLOURS, INKS, LETTERS
from playground.trace import Comparison

HEIGHT = 172  # pixels
APART = 0.14  # least distance of two letters, as a share of the height


def held(comparison: Comparison, lane: int) -> list[int]:
    """Tokens whose keys and values a lane holds, over all its rows, at each step.

    A row holds the prompt and every token chosen before, and the same after each second prompt. A
    lane has a row for every choice that was recorded at a step.
    """
    trace = comparison.lanes[lane].trace
    rows = Counter(step.index for step in trace.steps)
    prompt = len(comparison.prompt_tokens)

    def of_row(index: int) -> int:
        besides = sum(second + index for second in trace.second_prompts)
        return trace.copies * (prompt + index) + besides

    return [rows[index] * of_row(index) for index in sorted(rows)]


def memory(comparison: Comparison) -> go.Figure | None:
    """Bytes of keys and values over the tokens, a line a lane; None where a token's are unknown."""
    per_token = comparison.model.cache_bytes_per_token
    lanes = [held(comparison, lane) for lane in range(len(comparison.lanes))]
    most = max((max(tokens, default=0) for tokens in lanes), default=0)
    if per_token is None or most == 0:
        return None
    size, unit = text.scale(most * per_token)
    top = 1.08 * most * per_token / size
    longest = max(map(len, lanes))
    ends = {lane: tokens[-1] * per_token / size for lane, tokens in enumerate(lanes) if tokens}
    return figure(
        [
            # Where two lines lie on each other, the wider, earlier one shows on both sides.
            _line(
                called(comparison, lane),
                lane,
                tokens,
                per_token,
                size,
                width=2 + 3 * lanes[lane + 1 :].count(tokens),
            )
            for lane, tokens in enumerate(lanes)
            if tokens
        ],
        height=HEIGHT,
        margin={"l": 58, "r": 92, "t": 8, "b": 40},
        xaxis={
            "title": {"text": "step"},
            "range": [0.5, longest + 0.5],
            "fixedrange": True,
            "showgrid": False,
        },
        yaxis={
            "range": [0, top],
            "ticksuffix": f" {unit}",
            "nticks": 4,
            "fixedrange": True,
            "zeroline": True,
        },
        annotations=[
            part
            for lane, at in spread(ends, 0.06 * top, 0.97 * top, APART * top).items()
            for part in _end(lane, lanes[lane][-1] * per_token, at)
        ],
    )


def _line(
    column: str, lane: int, tokens: list[int], per_token: int, size: float, *, width: int
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines" if len(tokens) > 1 else "markers",
        "x": list(range(1, len(tokens) + 1)),
        "y": [count * per_token / size for count in tokens],
        "line": {"color": COLOURS[lane], "width": width, "shape": "hv"},
        "marker": {"color": COLOURS[lane]},
        "customdata": [[lane, i, text.size(count * per_token)] for i, count in enumerate(tokens)],
        "hovertemplate": f"{column}, token %{{x}}: %{{customdata[2]}}<extra></extra>",
    }


def _end(lane: int, count: int, at: float) -> list[dict[str, Any]]:
    """The letter and the last value, beside the end of the line."""
    where = {"xref": "paper", "x": 1, "y": at, "xanchor": "left", "yanchor": "middle"}
    told = {"text": text.size(count), "font": {"size": 11}, "showarrow": False}
    return [
        badge(LETTERS[lane], COLOURS[lane], INKS[lane], xshift=6, **where),
        {**told, "xshift": 26, **where},
    ]
