"""The API's descriptions: strategies, models, health, schema, documentation."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from urllib.parse import urljoin

import gradio as gr
from fastapi import FastAPI
from fastapi.testclient import TestClient

from playground.api import application, mount
from playground.engine import Engine
from playground.service import Service
from strategies.bridges.dialects import OTHERS, SETTINGS
from strategies.registry import Broken, Registry, registry
from tests.api.asking import ask, faults
from tests.folders import VOCAB

OPENAI = {  # OpenAI's, and what its clients ask of other servers
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/models",
    "/v1/models/{id}",
    "/v1/internal/decode",
    "/v1/internal/encode",
    "/v1/internal/model/info",
    "/v1/internal/token-count",
    "/tokenize",
    "/detokenize",
    "/tokenizer_info",
}


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
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "failing",
        "models": [],
        "unwell": {"tiny": "Its decode loop has stopped."},
    }


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
        assert answer.url.path == "/api/docs" and "docs.js" in answer.text
    assert set(client.get("/api/openapi.json").json()["paths"]) == OPENAI | {
        "/api/bring",
        "/api/ballots/{id}/next",
        "/api/ballots/{id}/votes",
        "/api/compare",
        "/api/experiments",
        "/api/experiments/{id}",
        "/api/experiments/{id}/ballots",
        "/api/experiments/{id}/ballots/{ballot}",
        "/api/experiments/{id}/ballots/{ballot}/votes.csv",
        "/api/experiments/{id}/events",
        "/api/experiments/{id}/resume",
        "/api/experiments/{id}/stop",
        "/api/experiments/{id}/{file}",
        "/api/explain",
        "/api/fork",
        "/api/formats",
        "/api/generate",
        "/api/generate_batch",
        "/api/metrics",
        "/api/models",
        "/api/runs/{run}",
        "/api/score",
        "/api/strategies",
        "/api/take",
        "/healthz",
        "/metrics",
    }


def test_the_schema_states_the_bounds_of_this_host(client):
    schema = client.get("/api/openapi.json").json()
    fields = schema["components"]["schemas"]["CompareRequest"]["properties"]
    assert fields["max_new_tokens"]["maximum"] == 1500
    assert fields["recipes"]["maxItems"] == 6
    assert fields["prompt"]["maxLength"] == 4000
    for model in ("CompareRequest", "CompletionBody", "ChatBody", "TokenizeBody"):
        described = schema["components"]["schemas"][model]["properties"]
        missing = [name for name, field in described.items() if not field.get("description")]
        assert missing == [], model


def test_the_schema_has_every_sampling_field_with_what_it_is(client):
    schema = client.get("/api/openapi.json").json()["components"]["schemas"]
    for model in ("CompletionBody", "ChatBody"):
        fields = schema[model]["properties"]
        assert SETTINGS.keys() | OTHERS < fields.keys()
        assert fields["min_p"]["type"] == "number" and "`min_p`" in fields["min_p"]["description"]
    failed = schema["Failure"]["properties"]
    assert set(failed) == {"message", "type", "param", "code"}


def of_a_run(client, body):
    """An example of the documentation, with the id of an existing run in place of its own."""
    run = ask(client, recipes=["greedy"] * 2, max_new_tokens=5).json()["id"]
    return {**body, "run": run} if "run" in body else body


def test_the_schemas_own_example_can_be_sent(client):
    sent = 0
    for path, methods in client.get("/api/openapi.json").json()["paths"].items():
        if "requestBody" in methods.get("post", {}) and "{" not in path:
            content = methods["post"]["requestBody"]["content"]["application/json"]
            for example in content["examples"].values():
                body = of_a_run(client, example["value"])
                if "messages" in body:  # this model has no chat template
                    continue
                answer = client.post(path, json=body)
                assert answer.status_code == 200, answer.text
                sent += 1
    assert sent >= 3


def test_the_readmes_examples_can_be_sent(client):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    shown = re.findall(
        r"^curl -s http://127.0.0.1:7860(/\S+)(?: .*?-d '(.*?)')?$", readme, re.M | re.S
    )
    for path, body in shown:
        body = of_a_run(client, json.loads(body)) if body else None
        answer = client.post(path, json=body) if body else client.get(path)
        assert answer.status_code == 200, path
    paths = set(client.get("/api/openapi.json").json()["paths"]) - OPENAI
    assert {path for path, _ in shown} - OPENAI == {path for path in paths if "{" not in path}


def test_the_documentation_is_served_by_this_host_alone(client):
    page = client.get("/api/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"].startswith("default-src 'none'; ")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert [name for name in loaded if ":" in name] == ["data:,"]  # the icon, which is none
    for name in set(loaded) - {"data:,"}:
        assert client.get(f"/api/{name}").status_code == 200, name
    for name in ("nothing.js", "docs.html", "..%2fdocs.py"):
        assert ("path",) in faults(client.get(f"/api/docs/{name}"), 404)


def test_the_schema_describes_the_events_of_a_stream(client):
    schema = client.get("/api/openapi.json").json()
    for path in ("/api/compare", "/api/fork", "/api/generate"):
        answer = schema["paths"][path]["post"]["responses"]["200"]["content"]["text/event-stream"]
        titles = [record["title"] for record in answer["schema"]["oneOf"]]
        assert titles == ["start", "token", "rewind", "lane"]
        assert all(f"event: {name}" in answer["example"] for name in ("start", "token", "done"))


def test_the_schema_is_right_behind_a_proxy_that_serves_it_below_a_path(client):
    schema = client.get("/api/openapi.json").json()
    address = urljoin("https://lab.example/decoding/api/openapi.json", schema["servers"][0]["url"])
    assert address == "https://lab.example/decoding/"
