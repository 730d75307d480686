"""Whether settings could have written a text, and how far apart columns are, on the page."""

from __future__ import annotations

import pytest

from playground.engine import Request
from playground.engine.request import ScoreRequest
from playground.trace import Comparison
from playground.ui import distances, likelihood
from playground.ui.inspector_view import InspectorView, Selection
from strategies.recipe import Recipe
from tests.engine.models import engine, finished

RECIPES = ["temperature(2) | sample", "greedy", "top_k(2) | sample", "beam(2)"]


@pytest.fixture(scope="module")
def served():
    return engine()


@pytest.fixture(scope="module")
def run(served) -> Comparison:
    return finished(served, Request(prompt="abab", recipes=RECIPES[:3], max_new_tokens=6))


def test_each_recipe_has_its_verdict_and_the_model_stands_first(served):
    recipes = [Recipe.of(recipe) for recipe in RECIPES]
    found = served.score_text(ScoreRequest(prompt="abab", text="xyz!", recipes=recipes))
    shown = likelihood.scores(found, "#000")
    assert [row["label"][0] for row in shown["rows"]] == ["t", "A", "B", "C", "D"]
    assert shown["rows"][0]["bars"][0][1] == "by-model"
    notes = [row["note"] for row in shown["rows"][1:]]
    assert notes[0] == "could have written it"
    assert notes[1].startswith("could not, at token 1: ") and shown["rows"][2]["values"] == ""
    assert "4 tokens" in shown["sentence"] and "temperature" in shown["sentence"]
    for row, one in zip(shown["rows"][1:], found.recipes, strict=True):
        assert row["faint"] == (one.logprob is None or one.impossible is not None)


def test_a_pair_has_one_number(run):
    view = InspectorView(run, Selection(run=run.id, lane=0, step=0), [], run)
    rows = distances.distances(view)["rows"]
    assert [row["label"] for row in rows] == ["A and B", "A and C"]
    for lane, row in enumerate(rows, 1):
        apart = run.distance(0, lane)
        assert f"{apart.low:.2f}" in row["values"]
        assert apart.low <= row["bars"][0][0] + 1e-4 and row["bars"][0][0] <= apart.high + 1e-4
    alone = run.model_copy(update={"lanes": run.lanes[:1]})
    view = InspectorView(alone, view.selection, [], alone)
    assert distances.distances(view)["sentence"] == distances.ALONE
