"""Experiments over HTTP: begun, followed, stopped, continued, and read as files."""

from __future__ import annotations

import csv
import io
import tomllib

import pytest

from playground.experiment.experiment import Experiment
from tests.api.asking import events, faults

ASKED = {
    "question": "Which?",
    "prompts": ["one", {"text": "two", "expected": "x"}, {"set": "fact", "first": 1}],
    "recipes": ["greedy", "temperature(1.5) | sample"],
    "seeds": 2,
    "metrics": ["length", "contains"],
    "max_new_tokens": 5,
}


@pytest.fixture(scope="module")
def ended(client):
    """The events of an experiment that was followed to its end."""
    with client.stream("POST", "/api/experiments", json=ASKED | {"stream": True}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        return list(events("".join(answer.iter_text())))


def test_an_experiment_is_followed_to_its_end(client, ended):
    assert {name for name, _ in ended[:-1]} == {"state"} and ended[-1][0] == "done"
    last = ended[-1][1]
    assert last["stage"] == "done" and last["done"] == last["total"] == 12
    assert last["recipes"][1] == {"written": ASKED["recipes"][1], "name": "temperature 1.5"}
    assert last["means"][0][0]["texts"] == 6 and last["means"][0][1]["prompts"] == 2
    assert len(last["pairs"]) == 2 and last["verdict"]
    assert client.get(f"/api/experiments/{last['id']}").json() == last
    again = client.get(f"/api/experiments/{last['id']}/events").text
    assert list(events(again))[-1] == ("done", last)
    resumed = client.post(f"/api/experiments/{last['id']}/resume").json()
    assert resumed["stage"] == "done"


def test_its_files_are_the_report_and_its_numbers(client, ended):
    id = ended[-1][1]["id"]

    def file(name):
        answer = client.get(f"/api/experiments/{id}/{name}")
        assert answer.status_code == 200 and "sandbox" in answer.headers["content-security-policy"]
        assert f"-{id}." in answer.headers["content-disposition"]
        return answer.text

    texts = list(csv.DictReader(io.StringIO(file("texts.csv"))))
    assert len(texts) == 12 and {row["seed"] for row in texts} == {"0", "1"}
    assert file("report.html").startswith("<!DOCTYPE html>") and "# Which?" in file("report.md")
    assert len(file("pairs.csv").splitlines()) == 3 and len(file("means.csv").splitlines()) == 5
    repeated = Experiment.of(tomllib.loads(file("experiment.toml")))
    assert repeated.cells == 12 and repeated.seeds == (0, 1)
    assert client.get(f"/api/experiments/{id}/secrets.csv").status_code == 422


def test_it_is_stopped_and_gone_on_with(client):
    begun = client.post("/api/experiments", json=ASKED | {"seeds": 400, "max_new_tokens": 60})
    id = begun.json()["id"]
    assert begun.status_code == 200 and begun.json()["total"] == 2400
    assert client.post(f"/api/experiments/{id}/stop").status_code == 200
    stopped = list(events(client.get(f"/api/experiments/{id}/events").text))[-1][1]
    assert stopped["stage"] == "stopped" and stopped["done"] < 2400
    assert client.post(f"/api/experiments/{id}/resume").json()["stage"] in ("waiting", "running")
    assert client.delete(f"/api/experiments/{id}").status_code == 204
    for answer in (client.delete(f"/api/experiments/{id}"), client.get(f"/api/experiments/{id}")):
        assert ("path", "id") in faults(answer, 404)


def test_people_vote_on_its_texts(client, ended):
    id, voter = ended[-1][1]["id"], "somebody-1"

    def begin(**given):
        return client.post(f"/api/experiments/{id}/ballots", json=given)

    assert ("body", "recipes") in faults(begin(recipes=[0, 7]))
    assert ("body", "most") in faults(begin(recipes=[0, 1], most=0))
    begun = begin(recipes=[0, 1], most=3, early=False).json()
    ballot = begun["id"]
    assert begun["rule"].startswith("The vote ends after 3 votes") and begun["votes"] == 0
    page = client.get(f"/vote/{ballot}")
    assert "Which text is better?" in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'; ")
    assert client.get("/vote/assets/vote.js").status_code == 200
    assert ("path",) in faults(client.get("/vote/assets/vote.html"), 404)
    turn = client.get(f"/api/ballots/{ballot}/next", params={"voter": voter}).json()
    asked = turn["question"]
    assert set(asked) == {"unit", "prompt", "left", "right"}  # and no name of a recipe
    for _ in range(2):  # sent twice, it counts once
        cast = client.post(
            f"/api/ballots/{ballot}/votes",
            json={"voter": voter, "unit": asked["unit"], "answer": "both bad"},
        ).json()
        assert {cast["left"], cast["right"]} == {"greedy", "temperature 1.5"}
        assert cast["next"]["votes"] == 1 and cast["next"]["question"]["unit"] != asked["unit"]
    told = client.get(f"/api/experiments/{id}/ballots/{ballot}").json()
    assert told["pairs"][0]["both_bad"] == 1 and told["voters"] == 1
    listed = client.get(f"/api/experiments/{id}/ballots/{ballot}/votes.csv").text
    assert len(list(csv.DictReader(io.StringIO(listed)))) == 1
    for path in (f"/api/experiments/other/ballots/{ballot}", "/api/ballots/other/next"):
        answer = client.get(path, params={"voter": voter})
        assert ("path", "id") in faults(answer, 404)
    answer = client.post(
        f"/api/ballots/{ballot}/votes", json={"voter": "x", "unit": 0, "answer": "maybe"}
    )
    assert {("body", "voter"), ("body", "answer")} == set(faults(answer))


def test_what_is_wrong_is_named(client):
    def sent(**changes):
        return client.post("/api/experiments", json=ASKED | changes)

    found = {
        "recipe": faults(sent(recipes=["greedy", "topp(1)"])),
        "set": faults(sent(prompts=[{"set": "poems"}])),
        "file": faults(sent(prompts=[{"file": "secret.csv"}])),
        "metric": faults(sent(metrics=["perplexy"])),
        "field": faults(sent(seed=3)),
        "tokens": faults(sent(max_new_tokens=4000)),
        "model": faults(sent(model="unknown/model")),
        "sweep": faults(sent(sweep={"recipe": "sample", "values": {"top_p": [1]}})),
        "many": faults(sent(seeds=900, prompts=[{"set": "story"}])),
    }
    assert list(found["recipe"]) == [("body", "recipes", 1)]
    assert "There is no set" in str(found["set"]) and ("body", "prompts") in found["set"]
    assert all(place[:2] == ("body", "prompts") for place in found["file"])
    assert "perplexity" in str(found["metric"]) and ("body", "metrics") in found["metric"]
    assert list(found["field"]) == [("body", "seed")]
    assert list(found["tokens"]) == [("body", "max_new_tokens")]
    assert list(found["model"]) == [("body", "model")]
    assert list(found["sweep"]) == [("body", "sweep")]
    assert "at most 20,000" in str(found["many"])
    for path in ("", "/events", "/report.md"):
        assert ("path", "id") in faults(client.get(f"/api/experiments/unknown{path}"), 404)
    assert ("path", "id") in faults(client.post("/api/experiments/unknown/stop"), 404)


def test_the_metrics_there_are(client):
    cards = {card["id"]: card for card in client.get("/api/metrics").json()["metrics"]}
    assert cards["distinct_n"]["params"]["properties"]["n"]["maximum"] == 10
    assert cards["tokens_per_second"]["repeatable"] is False and cards["exact"]["expects"] is True
