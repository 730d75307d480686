"""The HTTP API over the real engine, a tiny model and, where it matters, a real socket."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import httpx
import pytest
import torch
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from playground.api import application, docs, mount
from playground.api.events import Feed
from playground.engine import Engine, Request
from playground.service import Service
from playground.settings import Settings
from playground.trace import Comparison
from strategies import Recipe
from strategies.registry import Broken, Registry, registry
from tests.folders import VOCAB, saved
from tests.tiny import tiny_llama

torch.set_num_threads(1)

ASK = {"prompt": "Hello", "recipes": ["greedy"], "max_new_tokens": 3}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A host with one model of 2,000 tokens of context, and one that cannot be loaded."""
    folder = tmp_path_factory.mktemp("models")
    tiny = saved(tiny_llama(VOCAB, context=2000), folder / "tiny")
    (folder / "broken").mkdir()
    made = Service(
        Settings(
            device="cpu",
            dtype="float32",
            model=str(tiny),
            models=[str(folder / "broken")],
            max_rows=24,
            max_new_tokens=1500,
            max_prompt_chars=4000,
        )
    )
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(service):
    with TestClient(application(service), raise_server_exceptions=False) as client:
        yield client


def ask(client, **changes):
    return client.post("/api/compare", json={**ASK, **changes})


def events(text):
    """The events of a whole stream: their names and data."""
    pieces = [piece for piece in text.split("\n\n") if piece and not piece.startswith(":")]
    for piece in pieces:
        name, data = piece.split("\n")
        yield name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def faults(response, status=422):
    """The faults of a failed request by place; the answer must be of the one shape."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["detail"] and body["detail"]
    for fault in body["detail"]:
        assert list(fault) == ["loc", "msg"] and fault["msg"]
        assert "Traceback" not in fault["msg"] and 'File "' not in fault["msg"]
    return {tuple(fault["loc"]): fault["msg"] for fault in body["detail"]}


# What there is --------------------------------------------------------------------------------


def test_every_strategy_is_described_with_its_settings(client):
    body = client.get("/api/strategies").json()
    assert [card["id"] for card in body["strategies"]] == list(registry().strategies)
    assert body["broken"] == []
    cards = {card["id"]: card for card in body["strategies"]}
    top_p = cards["top_p"]
    assert top_p["kind"] == "processor" and cards["beam"]["kind"] == "search"
    assert top_p["formula"] and top_p["source"] and top_p["summary"] and top_p["title"]
    field = top_p["params"]["properties"]["top_p"]
    assert (field["minimum"], field["maximum"]) == (0, 1) and field["description"]


def test_a_broken_plugin_is_listed_with_its_error(client, monkeypatch):
    found = Registry({}, [Broken("mirror", "ImportError: no silver")])
    monkeypatch.setattr("playground.api.routing.registry", lambda: found)
    body = client.get("/api/strategies").json()
    assert body == {
        "strategies": [],
        "broken": [{"name": "mirror", "error": "ImportError: no silver"}],
    }


def test_models_tell_what_is_known_of_those_that_are_loaded(client, service):
    service.engine()
    body = client.get("/api/models").json()
    assert body["default"] == "tiny"
    tiny, broken = body["models"]
    assert tiny["loaded"] and tiny["facts"]["vocab_size"] == VOCAB
    assert (broken["id"], broken["loaded"], broken["facts"]) == ("broken", False, None)


def test_health_follows_the_decode_loop(client, service, monkeypatch):
    fresh = TestClient(application(Service(service.settings)))
    assert fresh.get("/healthz").json() == {"status": "starting", "models": []}
    service.engine()
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "models": ["tiny"]}
    monkeypatch.setattr(Engine, "alive", False)
    answer = client.get("/healthz")
    assert answer.status_code == 503 and answer.json()["status"] == "failing"


# Comparing ------------------------------------------------------------------------------------


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


def test_a_stop_string_ends_the_text_and_is_not_part_of_it(client):
    text = ask(client, max_new_tokens=30, min_new_tokens=30).json()["lanes"][0]["text"]
    stop = next(letter for letter in text[3:] if letter.isascii() and letter not in text[:3])
    lane = ask(client, max_new_tokens=30, stop=[stop]).json()["lanes"][0]
    assert lane["finish_reason"] == "stop"
    assert lane["text"] == text[: text.index(stop)]


# Faults ---------------------------------------------------------------------------------------

FAULTS = [
    ({"prompt": ""}, ["prompt"], "at least 1"),
    ({"prompt": "x" * 4001}, ["prompt"], "4,000 characters, but 4,001"),
    ({"prompt": "x" * 3000}, ["prompt"], "3,000 tokens"),
    ({"prompt": 7}, ["prompt"], "a text"),
    ({"prompt": None}, ["prompt"], "a text"),
    ({"recipes": []}, ["recipes"], "at least 1"),
    ({"recipes": ["greedy"] * 7}, ["recipes"], "at most 6"),
    ({"recipes": "greedy"}, ["recipes"], "a list"),
    ({"recipes": ["greedy", "topp(0.9) | sample"]}, ["recipes", 1], "Did you mean top_p"),
    ({"recipes": ["greedy", ""]}, ["recipes", 1], "empty"),
    ({"recipes": ["greedy | sample"]}, ["recipes", 0], "search"),
    ({"recipes": ["temperature(-1) | sample"]}, ["recipes", 0], "-1"),
    ({"recipes": ["top_p(0.9)"]}, ["recipes", 0], "no search"),
    ({"recipes": [3]}, ["recipes", 0], "3"),
    ({"recipes": [{"steps": []}]}, ["recipes", 0], "empty"),
    ({"recipes": [{"steps": [], "more": 1}]}, ["recipes", 0], "more"),
    (
        {"recipes": [{"steps": [{"strategy": "top_p", "params": {"top_p": 9}}]}]},
        ["recipes", 0, "steps", 0, "params", "top_p"],
        "from 0 to 1",
    ),
    (
        {"recipes": [{"steps": [{"strategy": "top_p", "params": {"p": 1}}]}]},
        ["recipes", 0, "steps", 0, "params", "p"],
        "no setting p",
    ),
    (
        {"recipes": [{"steps": [{"strategy": "greedy"}, {"strategy": "nope"}]}]},
        ["recipes", 0, "steps", 1],
        "nope",
    ),
    (
        {"recipes": [{"steps": [{"strategy": "greedy", "params": 3}]}]},
        ["recipes", 0, "steps", 0, "params"],
        "object",
    ),
    ({"recipes": ["greedy", "sample(17)"]}, ["recipes", 1], "17 rows"),
    ({"recipes": ["sample(16)", "sample(16)"]}, ["recipes"], "32 rows"),
    ({"max_new_tokens": 0}, ["max_new_tokens"], "at least 1, but 0"),
    ({"max_new_tokens": 1501}, ["max_new_tokens"], "at most 1,500, but 1501"),
    ({"max_new_tokens": "5"}, ["max_new_tokens"], "whole number"),
    ({"max_new_tokens": True}, ["max_new_tokens"], "whole number"),
    ({"max_new_tokens": 2.5}, ["max_new_tokens"], "whole number"),
    ({"min_new_tokens": 4}, ["min_new_tokens"], "from 0 to 3"),
    ({"min_new_tokens": -1}, ["min_new_tokens"], "at least 0"),
    ({"seed": -1}, ["seed"], "at least 0"),
    ({"seed": 2**63}, ["seed"], "below"),
    ({"seed": 10**300}, ["seed"], "below"),
    ({"stop": ["."] * 9}, ["stop"], "at most 8"),
    ({"stop": ["x" * 10_000]}, ["stop", 0], "100 characters, but 10,000"),
    ({"stop": [""]}, ["stop", 0], "at least 1"),
    ({"stop": "x"}, ["stop"], "a list"),
    ({"top_n": 0}, ["top_n"], "at least 1"),
    ({"top_n": 201}, ["top_n"], "at most 200"),
    ({"deadline": 0}, ["deadline"], "more than 0"),
    ({"deadline": 121}, ["deadline"], "at most 120"),
    ({"chat": True}, ["chat"], "no chat template"),
    ({"chat": "yes"}, ["chat"], "true or false"),
    ({"stream": 1}, ["stream"], "true or false"),
    ({"model": ""}, ["model"], "at least 1"),
    ({"model": "gpt5"}, ["model"], "not offered"),
    ({"model": "../tiny"}, ["model"], "not offered"),
    ({"temperature": 1}, ["temperature"], "no such field"),
]


@pytest.mark.parametrize("changes, loc, words", FAULTS, ids=lambda value: str(value)[:60])
@pytest.mark.parametrize("stream", [False, True])
def test_a_fault_is_told_at_its_field(client, changes, loc, words, stream):
    found = faults(ask(client, **{"stream": stream, **changes}))
    assert list(found) == [("body", *loc)]
    assert words in found["body", *loc]


def test_all_faults_are_told_at_once(client):
    found = faults(client.post("/api/compare", json={"recipes": ["x", "greedy", "y"], "seed": -1}))
    assert list(found) == [
        ("body", "prompt"),
        ("body", "recipes", 0),
        ("body", "recipes", 2),
        ("body", "seed"),
    ]


def test_a_model_that_will_not_load_is_not_the_requests_fault(client):
    found = faults(ask(client, model="broken"), 503)
    assert "no config.json" in found["body", "model"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"prompt": "x",}',
        b'{"prompt": "\xff", "recipes": ["greedy"]}',
        b'{"prompt": "\\ud800", "recipes": ["greedy"]}',
        b'{"prompt": "x", "recipes": ["greedy"], "seed": NaN}',
        b'{"prompt": "x", "recipes": ["greedy"], "deadline": 1e999}',
        b'{"prompt": "x", "recipes": ["greedy"], "seed": ' + b"9" * 9000 + b"}",
        b"[" * 50_000,
        b'{"\\ud800": 1}',
        b"null",
        b"[]",
        b'"text"',
    ],
    ids=lambda body: str(body[:40]),
)
def test_what_is_not_a_json_object_is_refused(client, body):
    headers = {"Content-Type": "application/json"}
    found = faults(client.post("/api/compare", content=body, headers=headers))
    assert all(place[0] == "body" for place in found)


def test_json_must_be_said_to_be_json(client):
    found = faults(client.post("/api/compare", content=json.dumps(ASK)))
    assert "Content-Type: application/json" in found[("body",)]


def test_a_body_of_any_length_is_refused_before_it_is_read(client):
    read = []

    def endless():
        for _ in range(100):
            read.append(1)
            yield b" " * 100_000

    headers = {"Content-Type": "application/json"}
    declared = client.post("/api/compare", content=b" " * 10_000_000, headers=headers)
    assert "bytes" in faults(declared, 413)[("body",)]
    assert (
        "bytes"
        in faults(client.post("/api/compare", content=endless(), headers=headers), 413)[("body",)]
    )


def test_the_longest_valid_request_fits(client):
    text = json.dumps({**ASK, "prompt": "🙂" * 900, "stop": ["🙂" * 100] * 8})
    answer = client.post("/api/compare", content=text, headers={"Content-Type": "application/json"})
    assert "tokens" in faults(answer)["body", "prompt"]  # read whole: too long for the model only


def test_elsewhere_under_api_there_is_nothing(client):
    assert ("path",) in faults(client.get("/api/nothing"), 404)
    assert ("path",) in faults(client.get("/api/compare/x"), 404)
    assert ("method",) in faults(client.get("/api/compare"), 405)


def test_an_unforeseen_error_is_logged_not_told(client, service, monkeypatch, caplog):
    def fail(*arguments):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(service, "submit", fail)
    with caplog.at_level(logging.ERROR, "playground.api"):
        (message,) = faults(ask(client), 500).values()
    assert "secret" not in message
    (record,) = [r for r in caplog.records if r.name.startswith("playground.api")]
    assert record.exc_info and message.removesuffix(".").split()[-1] in record.getMessage()


def test_a_model_that_fails_at_work_is_told_either_way(client, service, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("a cable came loose")

    monkeypatch.setattr(service.engine().forward, "decode", fail)
    assert "a cable came loose" in faults(ask(client), 500)[("run",)]
    told = list(events(ask(client, stream=True).text))
    assert told[-1][0] == "error" and "a cable came loose" in told[-1][1]["detail"][0]["msg"]
    monkeypatch.undo()
    assert ask(client).status_code == 200


def test_an_unforeseen_error_in_a_stream_is_its_last_event(client, monkeypatch):
    monkeypatch.setattr(Feed, "_end", lambda feed: 1 / 0)
    name, data = list(events(ask(client, stream=True).text))[-1]
    assert name == "error" and data["detail"][0]["loc"] == ["run"]
    assert "division" not in data["detail"][0]["msg"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
NAMES = st.sampled_from([*registry().strategies, "steps", "strategy", "params", "enabled", "x"])
STEP = st.dictionaries(NAMES, VALUES, max_size=3) | st.fixed_dictionaries(
    {"strategy": NAMES}, optional={"params": st.dictionaries(st.text(max_size=6), VALUES)}
)
RECIPE = (
    VALUES
    | st.lists(NAMES, max_size=3).map(" | ".join)
    | st.text("()|~,=.'\"\\0159-e greedysampltop_k", max_size=40)
    | st.fixed_dictionaries({"steps": st.lists(STEP, max_size=3)})
)
ASKED = st.fixed_dictionaries(
    {"prompt": st.text(min_size=1, max_size=8), "recipes": st.lists(RECIPE, max_size=2)},
    optional={
        "min_new_tokens": VALUES,
        "seed": VALUES | st.integers(0, 2**63),
        "stop": VALUES | st.lists(st.text(max_size=3), max_size=2),
        "top_n": st.integers(-1, 210),
        "chat": VALUES,
        "alone": st.booleans(),
        "deadline": VALUES,
        "model": VALUES,
        "stream": st.booleans(),
    },
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ASKED.map(lambda asked: {"max_new_tokens": 2, **asked}) | VALUES)
def test_no_request_is_answered_with_500(client, body):
    answer = client.post(
        "/api/compare",
        content=json.dumps(body),
        headers={"Content-Type": "application/json"},
    )
    if answer.status_code != 200:
        faults(answer)
    elif "event-stream" in answer.headers["content-type"]:
        assert list(events(answer.text))[-1][0] == "done"


# Streams --------------------------------------------------------------------------------------


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


def test_a_lane_that_falls_back_to_a_shorter_text_is_cut():
    def step(token):
        return SimpleNamespace(token=token, text="x", logprob=-1.0, raw_logprob=-1.0)

    def news():
        return [(name, data) for name, data in events(feed.next(0).decode())]

    a, b, c = step(1), step(2), step(3)
    lane = SimpleNamespace(done=False, path=lambda: [a, b])
    run = SimpleNamespace(lanes=[lane], wait=lambda *arguments: 1, done=False)
    feed = Feed(run)
    assert [data["id"] for _, data in news()] == [1, 2]
    lane.path = lambda: [a]
    assert news() == [("rewind", {"lane": 0, "length": 1})]
    lane.path = lambda: [a, c]
    assert [(name, data.get("id")) for name, data in news()] == [("token", 3)]
    lane.path = lambda: [step(1), step(3)]  # the same text, whatever objects tell it
    assert news() == []


@contextmanager
def serving(app):
    """The address of a real server."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def address(service):
    app = FastAPI()
    mount(app, service)
    with serving(app) as address:
        yield address


LONG = {**ASK, "recipes": ["greedy", "beam(4)"], "max_new_tokens": 1500, "min_new_tokens": 1500}


def freed(engine, within=5.0):
    """Whether nobody holds a row any more."""
    until = time.monotonic() + within
    while engine.people and time.monotonic() < until:
        time.sleep(0.01)
    return engine.people == 0 and engine.rows_in_use == 0


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


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_its_run(service, address, monkeypatch, stream):
    runs, submit = [], service.submit
    monkeypatch.setattr(service, "submit", lambda *asked: runs.append(submit(*asked)) or runs[-1])
    with httpx.Client(timeout=0.5) as http, pytest.raises(httpx.ReadTimeout):
        with http.stream("POST", f"{address}/api/compare", json={**LONG, "stream": stream}):
            raise httpx.ReadTimeout("a stream never waits that long, so this client just leaves")
    (run,) = runs
    assert run.join(5) and freed(service.engine())
    assert {lane.finish_reason for lane in run.lanes} == {"cancelled"}


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


# Beside a page, and documented ------------------------------------------------------------------


def test_the_routes_come_before_those_of_a_gradio_page(service):
    async def built():  # in a running loop: without one, Blocks makes a loop that nothing closes
        with gr.Blocks() as page:
            gr.Markdown("the page itself")
        app = FastAPI()
        mount(app, service)
        return gr.mount_gradio_app(app, page, path="", ssr_mode=False)

    client = TestClient(asyncio.run(built()), raise_server_exceptions=False)
    assert "the page itself" in client.get("/").text
    assert set(client.get("/healthz").json()) == {"status", "models"}
    assert ask(client).json()["model"]["id"] == "tiny"
    assert ("path",) in faults(client.get("/api/nothing"), 404)
    for path in ("/docs", "/api"):
        answer = client.get(path)
        assert answer.url.path == "/api/docs" and "POST" in answer.text
    assert set(client.get("/api/openapi.json").json()["paths"]) == {
        "/api/compare",
        "/api/models",
        "/api/strategies",
        "/healthz",
    }


def test_the_schema_states_the_bounds_of_this_host(client):
    schema = client.get("/api/openapi.json").json()
    fields = schema["components"]["schemas"]["CompareRequest"]["properties"]
    assert fields["max_new_tokens"]["maximum"] == 1500
    assert fields["recipes"]["maxItems"] == 6
    assert fields["prompt"]["maxLength"] == 4000
    missing = [name for name, field in fields.items() if not field.get("description")]
    assert missing == []


def test_the_schemas_own_example_can_be_sent(client):
    content = client.get("/api/openapi.json").json()["paths"]["/api/compare"]["post"]
    examples = content["requestBody"]["content"]["application/json"]["examples"]
    for example in examples.values():
        assert client.post("/api/compare", json=example["value"]).status_code == 200


def test_the_readmes_example_can_be_sent(client):
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    (body,) = re.findall(r"/api/compare .*-d '(\{.*?\})'", readme, re.DOTALL)
    answer = client.post("/api/compare", json=json.loads(body))
    assert answer.status_code == 200 and len(answer.json()["lanes"]) == 2


def test_the_documentation_tells_every_route_field_and_event_from_this_host_alone(client):
    answer = client.get("/api/docs")
    schema = client.get("/api/openapi.json").json()
    for path in schema["paths"]:
        assert path in answer.text
    for name, record in schema["components"]["schemas"].items():
        for field in record.get("properties", {}):
            assert f"<code>{field}</code>" in answer.text, f"{name}.{field}"
    for name in ("start", "token", "rewind", "lane", "done", "error"):
        assert f"<code>{name}</code>" in answer.text
    assert "https://" not in answer.text and "<script src" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_the_documentation_shows_hostile_text_as_text():
    hostile = "<img src=x onerror=alert(1)> `</code><script>alert(2)</script>`"
    schema = {
        "info": {"title": hostile, "description": hostile},
        "paths": {},
        "components": {"schemas": {"Card": {"properties": {hostile: {"description": hostile}}}}},
    }
    text = docs.page(schema, hostile).body.decode()
    assert "<img" not in text and "<script>alert" not in text and "&lt;img" in text
