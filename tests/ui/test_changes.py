"""What other settings would have made of a text, as the page requests it."""

from __future__ import annotations

import pytest

from playground.engine import Request
from playground.trace import Comparison
from playground.trace.changes import SettingRange, SettingSlack
from playground.ui import changes
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


def seen(run, lane):
    selection = Selection(run=run.id, lane=lane, step=0)
    return InspectorView(run, selection, run.lanes[lane].trace.path(), run)


def test_a_recipe_has_a_slider_for_each_number_that_counts(run):
    shown = view(seen(run, 0))
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
    assert "fault" in asked.ranges({"run": run.id, "lane": -1})["ranges"]


BOTH = ["temperature.temperature", "top_k.top_k"]


def test_ranges_are_told_as_they_are_found(run, asked, monkeypatch):
    """The first that is asked for, and what else is found in a while; each is found once."""
    place = {"run": run.id, "lane": 0, "step": 3}
    monkeypatch.setattr(changes, "A_WHILE_S", 0.0)
    assert asked.ranges(place | {"token": BOTH, "text": BOTH})["token"].keys() == {BOTH[0]}
    first = asked.ranges(place | {"text": BOTH})["ranges"]
    assert first.keys() == {BOTH[0]}
    monkeypatch.setattr(changes, "A_WHILE_S", 60.0)
    known = asked.ranges(place | {"token": BOTH, "text": BOTH})
    assert known["ranges"].keys() == known["token"].keys() == set(BOTH)
    assert known["ranges"][BOTH[0]] == first[BOTH[0]]
    found = known["ranges"][BOTH[0]]
    assert found["low"] <= 0.8 <= found["high"] and "same text" in found["told"]
    assert "same token" in known["token"][BOTH[0]]["told"]
    monkeypatch.setattr(changes, "text_slack", None)
    assert asked.ranges(place | {"text": BOTH})["ranges"] == known["ranges"]


def test_two_people_look_into_one_text_at_once(run, asked, monkeypatch):
    place = {"run": run.id, "lane": 0, "step": 3}
    told = changes.knobs.range_told

    def meanwhile(*given):
        monkeypatch.setattr(changes.knobs, "range_told", told)
        asked.ranges(place | {"token": BOTH, "text": BOTH})
        return told(*given)

    for kind, name in (("text", "ranges"), ("token", "token")):
        monkeypatch.setattr(changes, "A_WHILE_S", 0.0)
        asked.ranges(place | {kind: BOTH})
        monkeypatch.setattr(changes, "A_WHILE_S", 60.0)
        monkeypatch.setattr(changes.knobs, "range_told", meanwhile)
        assert asked.ranges(place)[name].keys() == {BOTH[0]}
        asked._texts.clear()


def test_the_knobs_come_with_what_is_known_at_once(run, asked, monkeypatch):
    monkeypatch.setattr(changes, "AT_ONCE_S", 60.0)
    shown = asked.view(seen(run, 0))
    assert shown["ranges"] == shown["token"] == {}  # of a text that was not looked into yet
    asked.ranges({"run": run.id, "lane": 0, "text": BOTH[1:]})
    shown = asked.view(seen(run, 0))
    assert shown["ranges"].keys() == {BOTH[1]} and shown["token"].keys() == set(BOTH)
    assert "ranges" not in asked.view(seen(run, 1))  # nothing to set
    lane = run.lanes[0].model_copy(update={"finish_reason": None})
    going = run.model_copy(update={"lanes": [lane]})
    asked = Changes({run.id: going}.get, lambda comparison: None)
    assert "still being written" in asked.view(seen(going, 0))["ranges"]["fault"]


def test_why_no_range_is_known_is_said_once():
    ask = Request(prompt="abab", recipes=["top_k(9) | synthid | beam"], max_new_tokens=12)
    run = finished(engine(), ask)
    asked = Changes({run.id: run}.get, lambda comparison: None)
    every = [one["name"] for one in settings(run.lanes[0].recipe)]
    for name in every:
        known = asked.ranges({"run": run.id, "lane": 0, "text": [name]})["ranges"]
    assert list(known) == ["fault"] and asked.view(seen(run, 0))["ranges"] == known


def test_the_second_of_two_like_steps_has_a_number():
    recipe = Recipe.of("temperature(0.8) | temperature(0.5) | sample")
    assert str(changed(recipe, {"temperature#2.temperature": 0.6})).count("0.6") == 1
    assert "temperature(0.8)" in str(changed(recipe, {"temperature#2.temperature": 0.6}))


def test_a_range_is_told_by_what_lies_within_it():
    ends = SettingRange(low=0.70051, high=0.93449, below=0.7, above=0.94)
    told = range_told(SettingSlack(setting="x", step=0, value=0.8, text=ends))["told"]
    assert told.startswith("0.701 … 0.934")
