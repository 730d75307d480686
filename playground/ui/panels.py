"""The recipe stage by stage, as panels side by side: the value of the element ``panels``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from playground import charts
from playground.colours import COLOURS
from playground.explain import tables
from playground.explain.passage import Cut, Passage, passages
from playground.explain.words import percent
from playground.trace import StepRecord
from playground.ui.inspector_view import InspectorView
from playground.ui.saved import saved

READ = (
    "Each panel is a step: thin, what it was given; thick, what it left; dashed, where it cuts. "
    "Point at a candidate to follow it; a click or Enter offers to go on from it."
)
ALONE = "No step reshapes the model's probabilities here: the search reads them as they are."
ROWS = 12  # of a panel, and one for the chosen token where it is not among them


def panels(view: InspectorView) -> dict[str, Any]:
    """The model's own distribution, then what each step of the recipe was given and left."""
    step, trace = view.step, view.trace
    assert step is not None  # nothing is drawn of a text without a token
    known, steps = step.candidates, passages(view.trace, step)
    widest = max([*known.raw, *(p for one in steps for p in one.left)]) or 1.0
    fair = f"as uncertain as a fair choice among {charts.fair(step.raw_entropy)}"
    drawn = [
        {
            "title": "the model",
            "told": f"{charts.count(trace.vocab_size, 'token')}; {fair}",
            "of": "by-model",
            "rows": _rows(known.raw, known.raw, step, widest),
            "lines": [],
        }
    ]
    drawn += [_panel(one, step, widest) for one in steps]
    return {
        "sentence": READ if steps else ALONE,
        "colour": COLOURS[view.selection.lane],
        "token": step.token,
        "candidates": [
            [token, charts.visible(text, 18)]
            for token, text in zip(known.ids, known.texts, strict=True)
        ],
        "panels": drawn,
        "table": saved("stages", view.marked, tables.stages(trace, step)),
    }


def _panel(one: Passage, step: StepRecord, widest: float) -> dict[str, Any]:
    rows = _rows(one.given, one.left, step, widest)
    shifts = one.effect.shifts
    for row in rows:
        token = step.candidates.ids[row["candidate"]]
        if token in shifts:
            row["shift"] = f"{shifts[token]:+.2f}".replace("-", "−")
    shown = [one.given[row["candidate"]] for row in rows]
    cut = one.cut if one.effect.removed else None
    return {
        "title": one.label,
        "told": one.sentence,
        "of": "by-recipe",
        "rows": rows,
        "lines": [] if cut is None else _lines(cut, shown, widest),
    }


def _rows(
    given: Sequence[float], left: Sequence[float], step: StepRecord, widest: float
) -> list[dict[str, Any]]:
    """The likeliest of what a step was given, and the chosen token."""
    known = step.candidates
    order = sorted(range(len(given)), key=lambda at: (-given[at], -left[at]))
    order = [at for at in order if given[at] > 0]
    chosen = known.ids.index(step.token)
    listed = order[:ROWS] if chosen in order[:ROWS] else [*order[:ROWS], chosen]
    return [
        {
            "candidate": at,
            "given": round(given[at] / widest, 4),
            "left": round(left[at] / widest, 4),
            "value": f"{charts.percent(left[at])} %" if left[at] else "removed",
        }
        for at in listed
    ]


def _lines(cut: Cut, shown: Sequence[float], widest: float) -> list[dict[str, Any]]:
    """Where a cut falls among the rows with these probabilities, the chosen token's the last.

    ``x`` is a share of the width, ``y`` counts rows from the top; ``curve`` has a share for each
    row, of a width that stands for 1.
    """
    if cut.keeps_by == "mass":
        held = [round(min(1.0, math.fsum(shown[: at + 1])), 4) for at in range(len(shown[:ROWS]))]
        return [{"x": round(cut.threshold, 4), "label": percent(cut.threshold, 3), "curve": held}]
    if cut.keeps_by == "rank":
        if cut.threshold >= len(shown[:ROWS]):
            return []  # it lies below these rows
        return [{"y": int(cut.threshold), "label": f"rank {cut.threshold:,.0f}"}]
    edges = [cut.least] if cut.keeps_by != "typicality" else [cut.least, cut.most]
    return [
        {"x": round(edge / widest, 4), "label": percent(edge, 3)}
        for edge in edges
        if edge is not None and edge <= widest
    ]
