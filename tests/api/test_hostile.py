"""The cost of a hostile request to others: none of them waits while it is checked."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from playground.api.body import MOST_VALUES
from strategies.grammars.trial import Trials
from strategies.notation import quote
from strategies.recipe import Recipe
from tests.api.asking import ASK, ask, faults

LATE = 30.0  # seconds; no correct answer takes so long
PATTERNS = [{"pattern": f".*{letter}.{{100}}{letter}"} for letter in "abcdefghijklmnopqrst"]
SCHEMA = json.dumps({"allOf": PATTERNS}, separators=(",", ":"))
HOSTILE = f"constrained(json_schema={quote(SCHEMA)}) | greedy"


def test_nobody_waits_for_a_grammar_at_trial(service, address, monkeypatch):
    """Others are answered while the process that checks the request is still at work."""
    held, begun = threading.Event(), threading.Event()
    real = Trials.fault

    def fault(trials, vocabulary, grammar):
        begun.set()
        assert held.wait(LATE)
        return real(trials, vocabulary, grammar)

    monkeypatch.setattr(Trials, "fault", fault)
    with ThreadPoolExecutor() as pool, httpx.Client(base_url=address, timeout=LATE) as http:
        hostile = pool.submit(http.post, "/api/compare", json={**ASK, "recipes": [HOSTILE]})
        try:
            assert begun.wait(LATE)
            assert http.get("/healthz").json()["status"] == "ok"
            answer = http.post("/api/compare", json=ASK)
            assert answer.status_code == 200 and not hostile.done()
        finally:
            held.set()
        (told,) = faults(hostile.result()).values()
    assert "json_schema: it takes more than" in told and told.endswith("make it simpler.")


def test_a_body_is_checked_beside_the_event_loop(client, monkeypatch):
    seen, parse = [], Recipe.parse
    monkeypatch.setattr(
        Recipe, "parse", lambda text: seen.append(threading.current_thread()) or parse(text)
    )
    assert ask(client).status_code == 200
    assert seen and all("AnyIO worker thread" in thread.name for thread in seen)


@pytest.mark.parametrize("unit", ["[]", "{}", "1", '"a"'])
def test_a_body_of_very_many_values_is_refused_unread(client, unit):
    body = '{"prompt": "x", "recipes": [' + ",".join([unit] * (MOST_VALUES + 1)) + "]}"
    headers = {"Content-Type": "application/json"}
    told = faults(client.post("/api/compare", content=body, headers=headers))
    assert told == {("body",): "The body may hold at most 50,000 values."}


def test_commas_and_brackets_in_a_text_are_no_values(client):
    told = faults(ask(client, prompt='[,{\\",' * (MOST_VALUES // 3)))
    assert "characters" in told[("body", "prompt")]


def test_of_very_many_faults_some_are_told(client):
    told = faults(ask(client, **{f"k{i}": 1 for i in range(1_000)}))
    assert len(told) == 50


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        (f"constrained(json_schema={quote('[' * 3_000 + ']' * 3_000)}) | greedy", "nested"),
        ("constrained(" + quote("(" * 1_500 + "a" + ")" * 1_500) + ") | greedy", "constrained"),
        ("top_k(" + "[" * 9_000 + ") | greedy", "cannot be read"),
        ("top_k(" + "-" * 9_000 + "1) | greedy", "cannot be read"),
        (f"top_k(0x{'f' * 9_000}) | greedy", "must be a whole number"),
        ({"steps": [{"strategy": "greedy"}] * 20_000}, "at most 32 steps"),
        (
            {"steps": [{"strategy": "bad_words", "params": {"words": ["x" * 99] * 100}}] * 31},
            "at most 20,000 characters",
        ),
        (
            {"steps": [{"strategy": "bad_words", "params": {"words": ["ab"] * 100}}] * 6},
            "at most 500 texts, but has 600",
        ),
    ],
    ids=lambda given: str(given)[:20],
)
def test_what_is_nested_or_long_is_told_in_a_sentence(client, recipe, says):
    (told,) = faults(ask(client, recipes=[recipe])).values()
    assert says in told
