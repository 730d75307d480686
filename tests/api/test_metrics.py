"""The metrics for Prometheus before, during and after a run."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from playground.api import application
from playground.engine import Request
from strategies import Recipe
from tests.api.asking import ask, freed


@pytest.fixture
def fresh(service):
    """An application whose counts begin at 0."""
    service.engine()
    with TestClient(application(service), raise_server_exceptions=False) as client:
        yield client
    del service.observers.all[-1]


def scraped(client):
    """Every sample: its value by name and labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name.removeprefix("playground_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_run_is_counted_with_its_lanes_tokens_and_times(fresh):
    before = scraped(fresh)
    body = ask(fresh, prompt="Hello", recipes=["greedy", "sample(2)"], max_new_tokens=5).json()
    after = scraped(fresh)
    gained = {key: after[key] - before.get(key, 0) for key in after}
    assert gained["runs_started_total",] == gained["runs_ended_total", "done"] == 1
    reasons = {lane["finish_reason"] for lane in body["lanes"]}
    assert sum(gained["lanes_ended_total", reason] for reason in reasons) == 2
    written = sum(len(lane["trace"]["steps"]) for lane in body["lanes"])
    assert gained["tokens_total",] == written > 5
    assert gained["prompt_tokens_total",] == 5
    assert gained["time_to_first_token_seconds_count",] == 1
    assert 0 < gained["time_to_first_token_seconds_sum",] < body["timings"]["total"]
    assert gained["decode_step_seconds_count",] >= 3
    assert after["process_resident_memory_bytes",] > 1 << 20
    assert after["up", "tiny"] == 1 and after["rows", "tiny"] == 24


def test_what_is_held_is_told_while_a_run_is_at_work(fresh, service):
    engine = service.engine()
    run = service.submit(
        Request(
            prompt="Hello",
            recipes=[Recipe.parse("beam(3)")],
            max_new_tokens=1500,
            min_new_tokens=1500,
        )
    )
    run.wait(run.version, 10)
    while not run.views[0].steps:
        run.wait(run.version, 10)
    held = scraped(fresh)
    run.cancel()
    assert run.join(10) and freed(engine)
    idle = scraped(fresh)
    assert held["rows_in_use", "tiny"] == 3 and held["runs_at_work", "tiny"] == 1
    assert held["key_value_bytes", "tiny"] >= 3 * 6 * engine.forward.slots.bytes_per_token
    for name in ("rows_in_use", "key_value_bytes", "runs_at_work", "queue_length"):
        assert idle[name, "tiny"] == 0
    assert idle["runs_ended_total", "cancelled"] == 1


@pytest.mark.parametrize(
    "changes, key",
    [
        ({"seed": -1}, ("refusals_total", "invalid")),
        ({"min_new_tokens": 4}, ("refusals_total", "invalid")),
        ({"model": "gpt5"}, ("refusals_total", "invalid")),
        ({"model": "broken"}, ("errors_total", "model")),
        ({"recipes": ["smc(17)"]}, ("refusals_total", "invalid")),
    ],
)
def test_a_request_that_is_not_run_is_counted_once(fresh, changes, key):
    assert ask(fresh, **changes).status_code in (422, 503)
    counts = scraped(fresh)
    counted = {k: v for k, v in counts.items() if k[0] in ("refusals_total", "errors_total") and v}
    assert counted == {key: 1}


def test_failures_are_counted_by_what_failed(fresh, service, monkeypatch):
    def fail(*arguments, **named):
        raise RuntimeError("a cable came loose")

    monkeypatch.setattr(service.engine().forward, "decode", fail)
    assert ask(fresh).status_code == 500
    monkeypatch.undo()
    monkeypatch.setattr(service, "submit_all", fail)
    assert ask(fresh).status_code == 500
    counts = scraped(fresh)
    assert counts["errors_total", "run"] == counts["errors_total", "server"] == 1
    assert counts["runs_ended_total", "error"] == 1 and counts["errors_total", "lane"] == 0
