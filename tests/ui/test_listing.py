"""Why a token was chosen, and how it was drawn, as the page lists it."""

from __future__ import annotations

import pytest

from playground.engine import Request
from playground.trace import Comparison
from playground.ui import listing
from playground.ui.inspector_view import InspectorView, Selection
from tests.engine.models import engine, finished

RECIPES = ["min_p(0.6) | sample", "temperature(1.4) | sample", "greedy"]


@pytest.fixture(scope="module")
def run() -> Comparison:
    return finished(engine(), Request(prompt="abab", recipes=RECIPES, max_new_tokens=6, seed=3))


def view(run: Comparison, lane: int, step: int = 0) -> InspectorView:
    selection = Selection(run=run.id, lane=lane, step=step)
    return InspectorView(run, selection, run.lanes[lane].trace.path(), run)


def test_every_candidate_says_what_became_of_it(run):
    shown, step = listing.why(view(run, 0)), run.lanes[0].trace.path()[0]
    rows, known = shown["rows"], step.candidates
    assert [row["tell"] for row in rows] == [[token] for token in known.ids]
    line = 0.6 * known.raw[0]
    for row, p, token in zip(rows, known.raw, known.ids, strict=True):
        assert row["faint"] == (p < line and token != step.token)
        assert ("removed by min_p 0.6: needed " in row["note"]) == row["faint"]
        assert row["marked"] == (token == step.token)
        assert row["find"].endswith(f"\n{token}")
    assert any(row["faint"] for row in rows)
    assert str(len(rows)) in shown["none"]


def test_a_draw_is_won_by_the_highest_sum_and_others_share_its_luck(run):
    shown = listing.tickets(view(run, 1))
    sums = [float(row["values"].split("= ")[1].replace("−", "-")) for row in shown["rows"]]
    assert sums == sorted(sums, reverse=True) and shown["rows"][0]["marked"]
    assert "won the draw" in shown["sentence"] and "rank" in shown["sentence"]
    others = listing.neighbours(view(run, 1))["rows"]
    assert [row["label"][0] for row in others] == ["A", "C"]
    assert "takes the likeliest" in others[1]["note"]


def test_without_a_draw_and_without_its_luck_that_is_said(run):
    assert listing.tickets(view(run, 2))["sentence"] == listing.NO_DRAW
    other = run.model_copy(update={"seed": 4})
    told = [listing.tickets(view(other, 1, step))["sentence"] for step in range(6)]
    assert any("was not drawn" in sentence for sentence in told)


def test_a_column_that_had_written_something_else_is_named(run):
    apart = [
        listing.neighbours(view(run, 1, step))["rows"][1]["note"]
        for step in range(6)
        if run.lanes[1].token_ids[:step] != run.lanes[2].token_ids[:step]
    ]
    assert apart and set(apart) == {"had written something else before this token"}
