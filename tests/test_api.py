"""The HTTP routes over a real engine on a tiny model, through a real socket where it matters."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from playground.api import mount
from playground.service import Service
from playground.settings import Settings
from strategies.registry import registry
from tests.folders import VOCAB, saved
from tests.tiny import tiny_llama


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = saved(tiny_llama(vocab=VOCAB), tmp_path_factory.mktemp("model") / "tiny")
    made = Service(
        Settings(model=str(folder), models=(), device="cpu", dtype="float32", max_new_tokens=100)
    )
    made.engine()
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[TestClient]:
    app = FastAPI()
    mount(app, service)
    with TestClient(app, raise_server_exceptions=False) as found:
        yield found


def asked(client: TestClient, **change: Any) -> Any:
    body = {"prompt": "abc", "recipes": ["greedy"], "max_new_tokens": 6} | change
    return client.post("/api/compare", json=body)


def test_strategies_come_with_schema_and_source(client: TestClient) -> None:
    found = {s["id"]: s for s in client.get("/api/strategies").json()["strategies"]}
    assert set(found) == set(registry().strategies)
    top_p = found["top_p"]
    assert top_p["kind"] == "processor" and top_p["formula"] and top_p["source"]
    assert top_p["params"]["properties"]["top_p"]["maximum"] == 1


def test_models_and_health(client: TestClient) -> None:
    (model,) = client.get("/api/models").json()["models"]
    assert model["loaded"] and model["facts"]["context_length"] == 128
    assert client.get("/healthz").json() == {"status": "ok", "models": ["tiny"]}


def test_a_comparison_holds_what_was_asked_for(client: TestClient, service: Service) -> None:
    steps = {"steps": [{"strategy": "top_p", "params": {"top_p": 0.9}}, {"strategy": "sample"}]}
    answer = asked(client, recipes=["beam(3)", steps], seed=4, top_n=3)
    assert answer.status_code == 200
    body = answer.json()
    assert [lane["recipe"] for lane in body["lanes"]] == ["beam(3)", "top_p(0.9) | sample"]
    for lane in body["lanes"]:
        assert {"text", "tokens", "finish_reason", "trace", "metrics"} <= set(lane)
        assert [token["id"] for token in lane["tokens"]] == lane["token_ids"]
        assert len(lane["tokens"]) == lane["metrics"]["tokens"] == 6
    assert body["timings"]["prefill_tokens"] == 3 and body["model"]["id"] == "tiny"
    again = asked(client, recipes=["beam(3)", steps], seed=4).json()
    assert [a["text"] for a in again["lanes"]] == [b["text"] for b in body["lanes"]]


WRONG = [
    ({"prompt": ""}, "prompt"),
    ({"prompt": "x" * 500}, "prompt"),
    ({"prompt": 7}, "prompt"),
    ({"recipes": []}, "recipes"),
    ({"recipes": ["greedy", "temperature(-1) | sample"]}, "recipes"),
    ({"recipes": ["greedy | greedy"]}, "recipes"),
    ({"recipes": ["nonsense"]}, "recipes"),
    ({"recipes": [{"steps": [{"strategy": "top_p", "params": {"top_q": 1}}]}]}, "recipes"),
    ({"max_new_tokens": 0}, "max_new_tokens"),
    ({"max_new_tokens": 101}, "max_new_tokens"),
    ({"min_new_tokens": 7}, "min_new_tokens"),
    ({"seed": -1}, "seed"),
    ({"stop": ["s" * 10_000]}, "stop"),
    ({"top_n": 0}, "top_n"),
    ({"model": "gpt5"}, "model"),
    ({"temperature": 1}, "temperature"),
]


@pytest.mark.parametrize(("change", "field"), WRONG)
def test_a_wrong_field_is_named(client: TestClient, change: dict[str, Any], field: str) -> None:
    answer = asked(client, **change)
    assert answer.status_code == 422, answer.text
    first = answer.json()["detail"][0]
    assert field in first["loc"] and first["msg"]
    assert "Traceback" not in answer.text


def test_what_is_no_request_is_told_apart(client: TestClient) -> None:
    json_type = {"content-type": "application/json"}
    assert client.post("/api/compare", content="{", headers=json_type).status_code == 422
    assert client.get("/api/nothing").status_code == 404
    assert "detail" in client.get("/api/nothing").json()
    huge = client.post("/api/compare", content=b"x" * 20_000_000, headers=json_type)
    assert huge.status_code == 413


def test_random_bodies_never_break_the_server(client: TestClient) -> None:
    chance = random.Random(1)
    values: list[Any] = [None, True, -1, 0, 3, 1e308, "", "greedy", "a" * 300, [], ["x"], {}, [[]]]
    names = ["prompt", "recipes", "max_new_tokens", "min_new_tokens", "seed", "stop", "top_n"]
    for _ in range(120):
        change = {chance.choice([*names, "model", "stream", "odd"]): chance.choice(values)}
        assert asked(client, **change).status_code in (200, 404, 422)


def test_a_stream_ends_with_the_whole_answer(client: TestClient) -> None:
    body = {"prompt": "abc", "recipes": ["greedy", "beam(2)"], "max_new_tokens": 8}
    whole = client.post("/api/compare", json=body).json()
    with client.stream("POST", "/api/compare", json=body | {"stream": True}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        blocks = "".join(answer.iter_text()).replace("\r\n", "\n").strip().split("\n\n")
    events = []
    for block in blocks:
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in lines:
            events.append((lines["event"], json.loads(lines["data"])))
    assert events[0][0] == "start" and events[-1][0] == "done"
    assert [lane["text"] for lane in events[-1][1]["lanes"]] == [x["text"] for x in whole["lanes"]]
    tokens = [data for name, data in events if name == "token" and data["lane"] == 0]
    assert [t["id"] for t in tokens] == whole["lanes"][0]["token_ids"]


@pytest.fixture
def address(service: Service) -> Iterator[str]:
    """A server on a port of its own."""
    app = FastAPI()
    mount(app, service)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_a_dropped_connection_frees_its_rows(service: Service, address: str) -> None:
    engine = service.engine()
    body = {"prompt": "a", "recipes": ["sample"] * 4, "max_new_tokens": 100, "stream": True}
    with httpx.stream("POST", f"{address}/api/compare", json=body, timeout=30) as answer:
        next(answer.iter_text())
    deadline = time.monotonic() + 20
    while engine.people and time.monotonic() < deadline:
        time.sleep(0.02)
    assert engine.people == 0 and engine.rows_in_use == 0
    assert httpx.get(f"{address}/healthz", timeout=30).json()["status"] == "ok"


def test_the_documentation_is_self_contained(client: TestClient) -> None:
    page = client.get("/api/docs").text
    assert "/api/compare" in page
    assert "cdn" not in page and '<script src="http' not in page
    schema = client.get("/api/openapi.json").json()
    assert {"/api/compare", "/api/strategies", "/api/models", "/healthz"} <= set(schema["paths"])
