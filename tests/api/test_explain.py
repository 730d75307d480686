"""Explanations over HTTP: of a choice in a run, and of a given text under recipes."""

from __future__ import annotations

import pytest

from playground.trace import Comparison
from playground.trace.scores import TextScore
from tests.api.asking import ask, faults

RECIPES = ["temperature(0.8) | top_k(5) | sample", "greedy"]


@pytest.fixture(scope="module")
def run(client):
    return ask(client, recipes=RECIPES, max_new_tokens=8, seed=3).json()


def explain(client, **body):
    return client.post("/api/explain", json=body)


def score(client, **changes):
    body = {"prompt": "Hello", "text": " there", "recipes": ["greedy", "sample"], **changes}
    return client.post("/api/score", json=body)


def test_a_choice_of_a_recent_run_is_explained(client, service, run):
    told = explain(client, run=run["id"], lane=0, step=3, recipe="sample", slack=True).json()
    assert told["id"] == run["id"] and told["recipe"] == RECIPES[0]
    kept = service.comparison(run["id"])
    assert told["step"]["token"] == kept.lanes[0].trace.path()[3].token
    assert told["drawn"][0]["token"] == told["step"]["token"]
    totals = [one["total"] for one in told["drawn"]]
    assert max(totals) == totals[0] and len(totals) == 5
    assert len(told["removed"]) == len(told["step"]["candidates"]["ids"]) - 5
    assert all("removed by top_k 5" in one["sentence"] for one in told["removed"])
    assert told["what_if"] == kept.what_if(0, "sample").model_dump()
    assert [one["setting"] for one in told["slack"]] == ["temperature.temperature", "top_k.top_k"]


def test_a_comparison_sent_along_is_explained_as_the_run_is(client, run):
    asked = {"lane": 1, "step": 0, "recipe": "temperature(2.0) | sample"}
    own = explain(client, comparison=run, **asked)
    assert own.status_code == 200
    assert own.json() == explain(client, run=run["id"], **asked).json()
    saved = dict(
        run, lanes=[{k: v for k, v in lane.items() if k != "tokens"} for lane in run["lanes"]]
    )
    assert (
        Comparison.model_validate(saved).what_if(1, asked["recipe"]).index
        == (own.json()["what_if"]["index"])
    )


def test_all_rows_of_a_lane_are_told(client, service):
    run = ask(client, recipes=["greedy", "beam(3)"], max_new_tokens=6).json()
    told = explain(client, run=run["id"], lane=1, beams=True).json()["beams"]
    assert told == service.comparison(run["id"]).beams(1).model_dump()
    assert {one["fate"] for one in told["beams"]} == {"continued", "pruned", "ended"}
    assert told["passed"] and told["rows"] == 3
    sent = explain(client, comparison=run, lane=1, beams=True).json()["beams"]
    assert [one["fate"] for one in sent["beams"]] == [one["fate"] for one in told["beams"]]
    assert explain(client, run=run["id"], lane=1).json()["beams"] is None


@pytest.mark.parametrize(
    "change, loc",
    [
        ({"run": None}, ("run",)),
        ({"run": "gone"}, ("run",)),
        ({"lane": 2}, ("lane",)),
        ({"sample": 1}, ("sample",)),
        ({"step": 99}, ("step",)),
        ({"recipe": "nonsense"}, ("recipe",)),
        ({"run": None, "comparison": {"lanes": 3}}, ("comparison",)),
    ],
)
def test_what_cannot_be_explained_is_named(client, run, change, loc):
    asked = {"run": run["id"], "lane": 0, "step": 0, **change}
    found = faults(explain(client, **{k: v for k, v in asked.items() if v is not None}), 422)
    assert [tuple(place[: 1 + len(loc)]) for place in found] == [("body", *loc)]


def _spoilt(run, change):
    lane = dict(run["lanes"][0], **({"recipe": "gone | sample"} if change == "recipe" else {}))
    trace, step = dict(lane["trace"]), dict(lane["trace"]["steps"][1])
    if change in ("token", "logits"):
        step[change] = 10**6 if change == "token" else step[change][:-8]
        trace["steps"] = [trace["steps"][0], step, *trace["steps"][2:]]
    if change == "beams":
        passed = {"index": 0, "parents": [None], "tokens": [1], "texts": [], "scores": [0.5]}
        trace["beams"] = {"weighs_by": "score", "weights": [], "ended": [], "passed": [passed]}
    return {**run, "lanes": [{**lane, "trace": trace}]}


@pytest.mark.parametrize(
    "change, place",
    [
        ("token", "trace.steps.1.token"),
        ("logits", "trace.steps.1.logits"),
        ("beams", "trace.beams.passed.0"),
        ("recipe", "recipe: Step 1"),
    ],
)
@pytest.mark.parametrize("path", ["/api/explain", "/api/fork"])
def test_records_that_contradict_each_other_are_refused_by_place(client, run, path, change, place):
    sent = {"comparison": _spoilt(run, change), "step": 1}
    more = {"recipe": "sample", "beams": True} if path == "/api/explain" else {}
    told = faults(client.post(path, json={**sent, **more}), 422)["body", "comparison"]
    assert told.startswith(f"lanes.0.{place}")


def test_a_recipe_that_the_model_cannot_run_is_refused_by_its_field(client, run):
    recipe = 'logit_bias({"99999": 1}) | sample'
    assert ("body", "recipe") in faults(explain(client, run=run["id"], recipe=recipe), 422)


def test_a_text_is_scored_by_every_recipe(client, service):
    answer = score(client)
    assert answer.status_code == 200
    found = TextScore.model_validate(answer.json())
    assert [one.recipe for one in found.recipes] == ["greedy", "sample"]
    assert found.text == " there" and len(found.tokens) == 6
    by_ids = score(client, text=[token.id for token in found.tokens]).json()
    assert by_ids["recipes"] == answer.json()["recipes"]
    assert service.engine().people == 0


@pytest.mark.parametrize(
    "change, loc",
    [
        ({"text": ""}, "text"),
        ({"text": [10**6]}, "text"),
        ({"recipes": []}, "recipes"),
        ({"recipes": ["greedy"] * 7}, "recipes"),
        ({"prompt": ""}, "prompt"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_cannot_be_scored_is_named(client, change, loc):
    found = faults(score(client, **change), 422)
    assert set(found) == {("body", loc)} and len(found) == 1


def test_a_model_that_is_not_offered_is_said_to_be_missing(client):
    assert faults(score(client, model="nobody/nothing"), 422)
