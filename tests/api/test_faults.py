"""Errors of a request name its field, always in one shape."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from playground.api.events import RunEvents
from strategies.registry import registry
from tests.api.asking import ASK, ask, events, faults

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
    ({"recipes": ["greedy", "smc(17)"]}, ["recipes", 1], "17 rows"),
    ({"recipes": ["sample(16)", "sample(16)"]}, ["recipes"], "32 rows"),
    ({"max_new_tokens": -1}, ["max_new_tokens"], "at least 0, but -1"),
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
    def fail(*arguments, **named):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(service, "submit_all", fail)
    with caplog.at_level(logging.ERROR, "playground.api"):
        (message,) = faults(ask(client), 500).values()
    assert "secret" not in message
    (record,) = [r for r in caplog.records if r.name.startswith("playground.api")]
    assert record.exc_info and message.removesuffix(".").split()[-1] in record.getMessage()


def test_a_model_that_fails_at_work_is_told_either_way(client, service, monkeypatch):
    def fail(*arguments, **named):
        raise RuntimeError("a cable came loose")

    monkeypatch.setattr(service.engine().forward, "decode", fail)
    assert "a cable came loose" in faults(ask(client), 500)[("run",)]
    told = list(events(ask(client, stream=True).text))
    assert told[-1][0] == "error" and "a cable came loose" in told[-1][1]["detail"][0]["msg"]
    monkeypatch.undo()
    assert ask(client).status_code == 200


def test_an_unforeseen_error_in_a_stream_is_its_last_event(client, monkeypatch):
    monkeypatch.setattr(RunEvents, "end", lambda feed: 1 / 0)
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
ONE = st.fixed_dictionaries(
    {"prompt": st.text(min_size=1, max_size=8), "recipe": RECIPE},
    optional={"echo": VALUES, "logprobs": st.booleans(), "chat": VALUES, "stream": st.booleans()},
)
MANY = st.fixed_dictionaries(
    {"prompts": st.lists(st.text(max_size=4), max_size=3) | VALUES, "recipe": RECIPE},
    optional={"echo": st.booleans(), "logprobs": st.booleans(), "seed": VALUES},
)
SENT = st.one_of(
    st.tuples(st.just("compare"), ASKED | VALUES),
    st.tuples(st.just("generate"), ONE | VALUES),
    st.tuples(st.just("generate_batch"), MANY | VALUES),
)


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(SENT)
def test_no_request_is_answered_with_500(client, sent):
    path, body = sent
    answer = client.post(
        f"/api/{path}",
        content=json.dumps({"max_new_tokens": 2, **body} if isinstance(body, dict) else body),
        headers={"Content-Type": "application/json"},
    )
    if answer.status_code != 200:
        faults(answer)
    elif "event-stream" in answer.headers["content-type"]:
        assert list(events(answer.text))[-1][0] == "done"


def _nested(depth):
    """Request bodies with a value nested so deep, in each field that may hold one."""
    lists, maps = "[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth
    schema = '{"not":' * depth + "{}" + "}" * depth
    in_steps = {"steps": [{"strategy": "constrained", "params": {"json_schema": schema}}]}
    in_steps["steps"].append({"strategy": "greedy"})
    for value in (lists, maps):
        yield f'{{"prompt": "a", "recipes": {value}}}'
        yield f'{{"prompt": {value}, "recipes": ["greedy"]}}'
        params = f'{{"steps": [{{"strategy": "bad_words", "params": {{"words": {value}}}}}]}}'
        yield f'{{"prompt": "a", "recipes": [{params}]}}'
    recipes = [f"constrained(json_schema='{schema}') | greedy", in_steps]
    recipes += [f"bad_words({lists}) | greedy", f"logit_bias({maps}) | greedy"]
    recipes += [f"constrained(json_schema='{lists}') | greedy", "~" * depth + "top_k(3) | greedy"]
    recipes += [f"temperature({'-' * depth}3) | greedy", "(" * depth + "greedy" + ")" * depth]
    for recipe in recipes:
        yield json.dumps({"prompt": "a", "max_new_tokens": 1, "recipes": [recipe]})


@pytest.mark.parametrize("depth", [150, 900, 5000])
def test_what_is_nested_too_deeply_is_never_a_failure_of_the_server(client, depth):
    for body in _nested(depth):
        answer = client.post("/api/compare", content=body)
        assert answer.status_code in ((200, 422) if depth < 200 else (422,)), body[:80]
        if answer.status_code == 422:
            faults(answer)


def test_a_walk_that_python_ends_is_the_requests_fault(client, service, monkeypatch):
    def deep(requests, model=None):
        return deep(requests, model)

    monkeypatch.setattr(service, "submit_all", deep)
    assert faults(ask(client)) == {("body",): "What was sent is nested too deeply."}
