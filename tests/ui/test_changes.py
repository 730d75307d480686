"""What other settings would have made of a text, as the page requests it."""

from __future__ import annotations

import pytest

from playground.engine import Request
from playground.trace import Comparison
from playground.trace.changes import SettingRange, SettingSlack
from playground.ui.changes import Changes
from playground.ui.inspector_view import InspectorView, Selection
from playground.ui.knobs import changed, range_told, settings, view
from strategies.recipe import Recipe
from tests.engine.models import engine, finished

DRAWN = "temperature(0.8) | top_k(40) | ~min_p(0.1) | sample"


@pytest.fixture(scope="module")
def run() -> Comparison:
    return finished(engine(), Request(prompt="abab", recipes=[DRAWN, "beam"], max_new_tokens=12))


@pytest.fixture
def asked(run):
    return Changes({run.id: run}.get, lambda comparison: None)


def here(run, **more):
    return {"run": run.id, "lane": 0, "output": 0, "recipe": DRAWN, "values": {}} | more


def test_a_recipe_has_a_slider_for_each_number_that_counts(run):
    selection = Selection(run=run.id, lane=0, step=0)
    shown = view(InspectorView(run, selection, run.lanes[0].trace.path(), run))
    assert [one["name"] for one in shown["settings"]] == ["temperature.temperature", "top_k.top_k"]
    for one in shown["settings"]:
        assert one["low"] <= one["value"] <= one["high"]
    assert settings("not_installed(1) | greedy") == []


def test_a_change_is_told_as_a_new_run_has_it(run, asked):
    moved = asked.what_if(here(run, values={"temperature.temperature": 3.0}))
    again = finished(engine(), Request(prompt="abab", recipes=[moved["recipe"]], max_new_tokens=12))
    was, now = run.lanes[0].token_ids, again.lanes[0].token_ids
    first = next(i for i, (a, b) in enumerate(zip(was, now, strict=True)) if a != b)
    assert moved["index"] == first and f"token {first + 1} " in moved["told"]
    assert moved["kind"] == "changed"
    same = asked.what_if(here(run, values={"top_k.top_k": 41}))
    assert same["kind"] == "same" and "index" not in same


def test_what_cannot_be_told_says_why(run, asked):
    unknown = asked.what_if(here(run, lane=1, recipe="beam(3)"))
    assert (unknown["kind"], unknown["index"]) == ("unknown", 0)  # which the model may write
    assert "no longer kept" in asked.what_if(here(run) | {"run": "gone"})["told"]
    assert "top_k" in asked.what_if(here(run, values={"top_k.top_k": -5}))["told"]
    assert "fault" in asked.slack({"run": run.id, "lane": -1})


def test_slack_is_told_once_a_text(run, asked):
    known = asked.slack(here(run))
    assert set(known) == {"temperature.temperature", "top_k.top_k"}
    found = known["temperature.temperature"]
    assert found["low"] <= 0.8 <= found["high"] and "same text" in found["told"]
    assert asked.slack(here(run)) is known
    for name, told in known.items():  # one after the other, as the page asks
        assert asked.slack(here(run, setting=name)) == {name: told}


def test_why_no_slack_is_known_is_said_once():
    ask = Request(prompt="abab", recipes=["top_k(9) | synthid | beam"], max_new_tokens=12)
    run = finished(engine(), ask)
    asked = Changes({run.id: run}.get, lambda comparison: None)
    fault = asked.slack(here(run))
    assert list(fault) == ["fault"] and fault == asked.slack(here(run, setting="top_k.top_k"))


def test_the_second_of_two_like_steps_has_a_number():
    recipe = Recipe.of("temperature(0.8) | temperature(0.5) | sample")
    assert str(changed(recipe, {"temperature#2.temperature": 0.6})).count("0.6") == 1
    assert "temperature(0.8)" in str(changed(recipe, {"temperature#2.temperature": 0.6}))


def test_a_range_is_told_by_what_lies_within_it():
    ends = SettingRange(low=0.70051, high=0.93449, below=0.7, above=0.94)
    told = range_told(SettingSlack(setting="x", step=0, value=0.8, text=ends))["told"]
    assert told.startswith("0.701 … 0.934")
