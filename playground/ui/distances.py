"""How far apart the columns' distributions are, as rows of the element ``listing``."""

from __future__ import annotations

from typing import Any

from playground.charts.text import count
from playground.colours import LETTERS
from playground.explain.tables import Table
from playground.ui.inspector_view import InspectorView
from playground.ui.listing import listing
from playground.ui.saved import saved

APART = (
    "How far this column is from each other one: the Jensen-Shannon distance of what they chose "
    "from, mean over the tokens up to the first that differs. 0 is alike, 1 has nothing in common."
)
ALONE = "With a second column, how far apart the two are stands here."


def distances(view: InspectorView) -> dict[str, Any]:
    """One number for each pair of the selected column and another."""
    run, own = view.comparison, view.selection.lane
    rows, told = [], []
    for lane in range(len(run.lanes)):
        if lane == own:
            continue
        apart = run.distance(own, lane)
        row = {"label": f"{LETTERS[own]} and {LETTERS[lane]}", "bars": [], "values": ""}
        told.append([row["label"], apart.low, apart.high, len(apart.steps)])
        if apart.low is None or apart.high is None:
            rows.append(row | {"note": "one of them wrote nothing"})
            continue
        low, high = f"{apart.low:.2f}", f"{apart.high:.2f}"
        rows.append(
            row
            | {
                "bars": [[round((apart.low + apart.high) / 2, 4), "by-recipe"]],
                "values": low if low == high else f"{low} to {high}",
                "note": f"over {count(len(apart.steps), 'token')}",
            }
        )
    table = Table(["columns", "at least", "at most", "tokens"], told)
    shown = saved("distances", view.marked, table)
    return listing(view, APART if rows else ALONE, rows, shown)
