"""Continuing a text from one of its tokens, over HTTP."""

from __future__ import annotations

import pytest

from playground.trace import Comparison
from tests.api.asking import ask, events, faults
from tests.folders import VOCAB

DRAWN = "presence_penalty(0.5) | temperature(0.8) | sample"


@pytest.fixture(scope="module")
def run(client):
    return ask(client, recipes=["greedy", DRAWN], max_new_tokens=8, seed=3).json()


def fork(client, **body):
    return client.post("/api/fork", json=body)


def test_a_text_goes_on_as_it_did_and_only_what_is_new_is_read(client, service, run):
    own = run["lanes"][1]["token_ids"]
    told = fork(client, run=run["id"], lane=1, step=3, token=own[3]).json()
    (lane,) = told["lanes"]
    assert told["prefix"] == own[:4] and lane["token_ids"] == own[4:]
    assert [token["id"] for token in lane["tokens"]] == own[4:]
    assert lane["recipe"] == DRAWN
    assert lane["forked"] == {
        "run": run["id"], "lane": 1, "sample": 0, "step": 3, "tokens": [own[3]],
    }  # fmt: skip
    timings = told["timings"]
    assert timings["prefill_tokens"] - timings["reused_tokens"] == 1
    again = fork(client, run=told["id"], step=1, recipe="greedy", max_new_tokens=2).json()
    assert again["prefix"] == own[:5] and len(again["lanes"][0]["token_ids"]) == 2
    assert service.comparison(again["id"]).lanes[0].forked.run == told["id"]


def test_a_comparison_sent_along_is_gone_on_with_as_the_run_is(client, run):
    asked = {"lane": 1, "step": 2, "recipe": "top_k(4) | sample"}
    own, sent = fork(client, run=run["id"], **asked), fork(client, comparison=run, **asked)
    assert sent.json()["lanes"][0]["token_ids"] == own.json()["lanes"][0]["token_ids"]


def test_a_text_that_was_changed_by_hand_is_gone_on_with(client, run):
    text = "a text. And another"
    told = fork(client, run=run["id"], text=text, max_new_tokens=3).json()
    assert bytes(id - 3 for id in told["prefix"]) is not None
    assert "".join(token["text"] for token in told["prompt_tokens"]).endswith(text)
    assert len(told["lanes"][0]["token_ids"]) == 3


def test_it_streams_as_a_run_does(client, run):
    body = {"run": run["id"], "lane": 1, "step": 3, "token": 9}
    plain = fork(client, **body).json()
    found = list(events(fork(client, **body, stream=True).text))
    assert [name for name, _ in found if name != "token"] == ["start", "lane", "done"]
    streamed = [data["id"] for name, data in found if name == "token"]
    assert streamed == plain["lanes"][0]["token_ids"]
    assert found[-1][1]["prefix"] == plain["prefix"]
    assert (
        Comparison.model_validate(
            {**plain, "lanes": [{k: v for k, v in plain["lanes"][0].items() if k != "tokens"}]}
        )
        .lanes[0]
        .forked
    )


@pytest.mark.parametrize(
    "change, field",
    [
        ({"run": "ffff"}, "run"),
        ({"comparison": {}}, "run"),
        ({"lane": 2}, "lane"),
        ({"sample": 1}, "sample"),
        ({"step": 9}, "step"),
        ({"step": None}, "step"),
        ({"text": "a"}, "step"),
        ({"token": VOCAB}, "token"),
        ({"recipe": "beam(60)"}, "recipe"),
        ({"recipe": "nothing"}, "recipe"),
        ({"max_new_tokens": 9999}, "max_new_tokens"),
        ({"lane": 2, "text": "a", "step": None, "token": None}, "lane"),
        ({"extra": 1}, "extra"),
    ],
)
def test_what_cannot_be_gone_on_with_is_named(client, run, change, field):
    body = {"run": run["id"], "lane": 1, "step": 3, "token": 5} | change
    if "comparison" in change:
        body["run"] = run["id"]
    assert {loc[:2] for loc in faults(fork(client, **body))} == {("body", field)}
