"""The charts that every click draws anew, as HTML rows, since Plotly takes too long.

Each function returns the value of the element ``rows``. The ``share`` of a bar is its width over
the widest one's. Its ``kind`` is the model's, the recipe's, ``removed`` for a removed token, or
``ceiling`` for the largest value that the bar over it could have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from playground import charts
from playground.charts.text import count
from playground.trace import StepRecord, Trace

ROOM = 0.4  # of the width, which a bar must leave free for words beside it


def candidates(
    step: StepRecord, trace: Trace, colour: str, stage: int, sentence: str
) -> dict[str, Any]:
    """The likeliest tokens: the raw probability of each, and that after ``stage``, if any."""
    bars = charts.rows(step, trace, stage)
    widest = max(max(bar.raw, bar.shown) for bar in bars) or 1.0
    return {
        "layout": "candidates",
        "sentence": sentence,
        "colour": colour,
        "rows": [
            _candidate(bar, widest, stage >= 0, bar.y - before) for bar, before in _gaps(bars)
        ],
        "notes": _notes(bars, trace, widest),
    }


def stages(
    step: StepRecord, trace: Trace, colour: str, stage: int, sentence: str
) -> dict[str, Any]:
    """Entropy (nats) of the model and after each stage; ``stage`` is the shown one.

    The outline of a bar is the entropy of a uniform choice among as many tokens. A click on a row
    sends its stage.
    """
    known = charts.summaries(step, trace)
    ceilings = [math.log(summary.survivors) for _, summary in known]
    widest = max(max(ceilings), max(summary.entropy for _, summary in known), 0.1)
    drawn = []
    for number, ((name, summary), ceiling) in enumerate(zip(known, ceilings, strict=True)):
        left, nats = count(summary.survivors, "token"), f"{summary.entropy:.2f}"
        bars = [[ceiling / widest, "ceiling"], [summary.entropy / widest, "fill"]]
        drawn.append(
            {
                "label": name,
                "of": "by-recipe" if number else "by-model",
                "bars": [[round(share, 4), kind] for share, kind in bars],
                "values": f"{nats} nats\n{left}",
                "marked": number - 1 == stage,
                "life": [f"{name}: {left}, {nats} of at most {ceiling:.2f} nats"],
                "tell": [number - 1],
            }
        )
    return {
        "layout": "stages", "sentence": sentence, "colour": colour, "rows": drawn, "notes": [],
    }  # fmt: skip


def _gaps(bars: Sequence[charts.Bar]) -> list[tuple[charts.Bar, float]]:
    """Each bar, with the ``y`` that would follow the bar before it without a gap."""
    return [(bar, bars[i - 1].y + 1 if i else bar.y) for i, bar in enumerate(bars)]


def _candidate(bar: charts.Bar, widest: float, paired: bool, gap: float) -> dict[str, Any]:
    raw = charts.percent(bar.raw).rjust(5, "\N{NO-BREAK SPACE}")
    shares = [[bar.raw, "removed" if bar.removed_by is not None else "by-model"]]
    if paired:
        shares.append([bar.shown, "by-recipe"])
    return {
        "label": f"▸ {bar.label}" if bar.chosen else bar.label,
        "bars": [[round(share / widest, 4), kind] for share, kind in shares],
        "values": f"{raw} → {charts.percent(bar.shown)} %" if paired else f"{raw} %",
        "marked": bar.chosen,
        "faint": bar.removed_by is not None or bar.others,
        "gap": round(gap, 2),
        "life": list(bar.told),
        "tell": None if bar.token is None else [bar.token],
    }


def _notes(bars: Sequence[charts.Bar], trace: Trace, widest: float) -> list[dict[str, Any]]:
    """Notes on the step that removed some rows: beside their bars, or below the first one's.

    ``first`` and ``last`` are rows; ``reach`` is the end of the longest bar, None for one below.
    """
    notes = []
    for stage, group in groupby(enumerate(bars), key=lambda numbered: numbered[1].removed_by):
        if stage is None:
            continue
        run = list(group)
        reach = max(bar.raw for _, bar in run) / widest
        notes.append(
            {
                "text": f"removed by {trace.chain.processors[stage].label}",
                "first": run[0][0],
                "last": run[-1][0],
                "reach": round(reach, 4) if reach < ROOM else None,
            }
        )
    return notes
