"""Comparisons over HTTP equal those of the engine, whole or as a stream."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from playground.engine import Request
from playground.trace import Comparison
from strategies import Recipe
from tests.api.asking import ASK, ask, events, freed


def test_a_comparison_is_the_engines_own(client, service):
    recipes = ["greedy", "temperature(0.8) | top_p(0.95) | sample", "beam(3)"]
    body = ask(client, recipes=recipes, max_new_tokens=8, seed=5, top_n=4).json()
    run = service.submit(
        Request(
            prompt="Hello",
            recipes=[Recipe.parse(text) for text in recipes],
            max_new_tokens=8,
            seed=5,
            top_n=4,
        )
    )
    assert run.join(60)
    expected = run.comparison()
    assert [lane["token_ids"] for lane in body["lanes"]] == [
        lane.token_ids for lane in expected.lanes
    ]
    assert [lane["text"] for lane in body["lanes"]] == [lane.text for lane in expected.lanes]
    assert [lane["recipe"] for lane in body["lanes"]] == recipes
    for lane in body["lanes"]:
        assert [token["id"] for token in lane["tokens"]] == lane["token_ids"]
        assert lane["finish_reason"] in {"length", "eos"}
        assert lane["metrics"]["tokens"] == len(lane["tokens"]) and lane["metrics"]["perplexity"]
        assert all(len(step["candidates"]["ids"]) <= 5 for step in lane["trace"]["steps"])
    assert body["model"]["id"] == "tiny" and body["timings"]["total"] > 0
    assert [token["id"] for token in body["prompt_tokens"]] == run.prompt_ids


def test_the_answer_is_a_comparison_that_can_be_loaded_back(client):
    body = ask(client, recipes=["top_k(5) | sample(2)"]).json()
    for lane in body["lanes"]:
        del lane["tokens"]
    loaded = Comparison.model_validate(body)
    assert loaded.lanes[0].trace.path()[0].token == loaded.lanes[0].token_ids[0]


def test_steps_and_the_written_form_are_the_same_recipe(client):
    steps = [
        {"strategy": "top_k", "params": {"top_k": 5}},
        {"strategy": "temperature", "params": {"temperature": 2}, "enabled": False},
        {"strategy": "sample"},
    ]
    written, sent = ask(
        client, recipes=["top_k(5) | ~temperature(2) | sample", {"steps": steps}], seed=3
    ).json()["lanes"]
    assert written["token_ids"] == sent["token_ids"]
    assert sent["recipe"] == "top_k(5) | ~temperature(2.0) | sample"


def test_without_the_cache_the_text_is_the_same(client):
    with_it, without = (
        ask(client, max_new_tokens=6, cache=cache).json()["lanes"][0] for cache in (True, False)
    )
    assert with_it["token_ids"] == without["token_ids"]


def test_a_stop_string_ends_the_text_and_is_not_part_of_it(client):
    text = ask(client, max_new_tokens=30, min_new_tokens=30).json()["lanes"][0]["text"]
    stop = next(letter for letter in text[3:] if letter.isascii() and letter not in text[:3])
    lane = ask(client, max_new_tokens=30, stop=[stop]).json()["lanes"][0]
    assert lane["finish_reason"] == "stop"
    assert lane["text"] == text[: text.index(stop)]


def test_a_streams_events_add_up_to_the_answer(client):
    recipes = ["greedy", "beam(3)", "sample(3)"]
    told = list(events(ask(client, recipes=recipes, max_new_tokens=12, stream=True).text))
    assert [told[0][0], told[-1][0]] == ["start", "done"]
    start, done = told[0][1], told[-1][1]
    assert start["recipes"] == recipes and start["id"] == done["id"]
    assert start["prompt_tokens"] == done["prompt_tokens"]
    written = [[] for _ in recipes]
    ended = {}
    for name, data in told[1:-1]:
        assert data["lane"] not in ended
        lane = written[data["lane"]]
        if name == "token":
            assert data["index"] == len(lane)
            lane.append({k: v for k, v in data.items() if k not in ("lane", "index")})
        elif name == "rewind":
            assert data["length"] < len(lane)
            del lane[data["length"] :]
        else:
            assert name == "lane"
            ended[data["lane"]] = data
    assert written == [lane["tokens"] for lane in done["lanes"]]
    for number, lane in enumerate(done["lanes"]):
        for field in ("text", "finish_reason", "error"):
            assert ended[number][field] == lane[field]
    plain = ask(client, recipes=recipes, max_new_tokens=12).json()
    assert list(done) == list(plain)
    assert [lane["tokens"] for lane in done["lanes"]] == [lane["tokens"] for lane in plain["lanes"]]


LONG = {**ASK, "recipes": ["greedy", "beam(4)"], "max_new_tokens": 1500, "min_new_tokens": 1500}


def test_tokens_arrive_while_the_text_is_written(service, address):
    engine = service.engine()
    with (
        httpx.Client() as http,
        http.stream("POST", f"{address}/api/compare", json={**LONG, "stream": True}) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        lines = answer.iter_lines()
        assert "event: token" in (line for line in lines)
        assert engine.people == 1 and engine.rows_in_use == 5
    assert freed(engine)


@pytest.mark.parametrize(
    "path, asked",
    [
        ("compare", {"prompt": "a", "recipes": ["greedy", "beam(4)"], "stream": False}),
        ("compare", {"prompt": "a", "recipes": ["greedy", "beam(4)"], "stream": True}),
        ("generate", {"prompt": "a", "recipe": "greedy", "echo": True, "logprobs": True}),
        ("generate", {"prompt": "a", "recipe": "greedy", "stream": True}),
        ("generate_batch", {"prompts": ["a", "b", "c"], "recipe": "greedy"}),
    ],
)
def test_a_client_that_leaves_ends_its_runs(service, address, monkeypatch, path, asked):
    runs, submit = [], service.submit_all
    monkeypatch.setattr(service, "submit_all", lambda *a: runs.extend(submit(*a)) or runs)
    body = {**asked, "max_new_tokens": 1500, "min_new_tokens": 1500}
    with httpx.Client(timeout=0.5) as http, pytest.raises(httpx.ReadTimeout):
        with http.stream("POST", f"{address}/api/{path}", json=body):
            raise httpx.ReadTimeout("a stream never waits that long, so this client just leaves")
    count = len(asked.get("prompts", "a"))
    until = time.monotonic() + 10  # a busy machine submits when the client has left already
    while len(runs) < count and time.monotonic() < until:
        time.sleep(0.01)
    assert len(runs) == count
    assert all(run.join(5) for run in runs) and freed(service.engine())
    assert {lane.finish_reason for run in runs for lane in run.views} == {"cancelled"}


def test_many_clients_are_served_at_once_and_health_answers_meanwhile(service, address):
    async def one(http, number):
        body = {**ASK, "seed": number, "recipes": ["sample"], "stream": bool(number % 2)}
        answer = await http.post(f"{address}/api/compare", json=body)
        data = list(events(answer.text))[-1][1] if number % 2 else answer.json()
        return data["seed"], data["lanes"][0]["finish_reason"]

    async def everybody():
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(timeout=60, limits=limits) as http:
            runs = asyncio.gather(*(one(http, number) for number in range(100)))
            begun = time.monotonic()
            assert (await http.get(f"{address}/healthz")).json()["status"] == "ok"
            return time.monotonic() - begun, await runs

    waited, results = asyncio.run(everybody())
    assert [seed for seed, _ in results] == list(range(100))
    assert {reason for _, reason in results} <= {"length", "eos"}
    assert waited < 5 and freed(service.engine())
