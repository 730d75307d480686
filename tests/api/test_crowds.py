"""The responses to a client where there are too many requests or runs."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from playground.api import application
from playground.engine import Request
from playground.rate_limits import RateLimits, TooFast
from strategies import Recipe
from tests.api.asking import ask, faults, freed

ADDRESS = "203.0.113.5"


def at(address, service):
    """A client at this address."""
    return TestClient(application(service), raise_server_exceptions=False, client=(address, 5000))


@pytest.fixture
def held(service):
    """As many endless runs as one address may have at once."""
    request = Request(
        prompt="a",
        recipes=[Recipe.parse("greedy")],
        max_new_tokens=1500,
        min_new_tokens=1500,
        client=ADDRESS,
    )
    runs = [service.submit(request) for _ in range(service.settings.max_client_runs)]
    yield runs
    for run in runs:
        run.cancel()
    assert freed(service.engine())


def test_a_client_over_its_share_is_told_when_to_come_back_and_others_are_served(service, held):
    crowded = at(ADDRESS, service)
    answer = ask(crowded)
    assert 'playground_refusals_total{kind="busy"} 1.0' in crowded.get("/metrics").text
    assert "8 of your runs" in faults(answer, 429)[("run",)]
    assert int(answer.headers["retry-after"]) >= 1
    assert ask(at("203.0.113.6", service)).status_code == 200
    assert ask(at("127.0.0.1", service)).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_full_line_refuses_before_a_stream_begins(service, held, monkeypatch, stream):
    queue = service.engine().loop.queue
    monkeypatch.setattr(queue.shares, "limits", replace(queue.shares.limits, waiting=0))
    answer = ask(at("127.0.0.1", service), stream=stream)
    assert "no more are taken" in faults(answer, 429)[("run",)] and answer.headers["retry-after"]


@pytest.fixture
def limited(service):
    """A host that takes two requests a minute from one address."""
    strict = copy(service)
    strict.rate_limits = RateLimits("2/minute, 9 per hour")
    return application(strict)


def test_requests_are_counted_by_address_and_this_machine_is_not_counted(limited):
    def get(address, path="/api/models", **headers):
        return TestClient(limited, client=(address, 5000)).get(path, headers=headers)

    assert [get(ADDRESS).status_code for _ in range(2)] == [200, 200]
    refused = get(ADDRESS, **{"X-Forwarded-For": "198.51.100.1"})
    sentence = faults(refused, 429)[("client",)]
    assert "2 requests per minute" in sentence
    assert f"in {refused.headers['retry-after']} s" in sentence
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert faults(get(ADDRESS, "/api/strategies"), 429)
    assert get("203.0.113.6").status_code == 200
    for _ in range(3):
        assert get("127.0.0.1").status_code == 200
        assert get(ADDRESS, "/healthz").status_code == 200
    assert 'playground_refusals_total{kind="rate"} 2.0' in get(ADDRESS, "/metrics").text


def test_what_is_refused_is_not_counted_again():
    rate_limits = RateLimits("1/second, 2/hour")
    rate_limits.count("a")
    for _ in range(3):
        with pytest.raises(TooFast, match="1 request per second"):
            rate_limits.count("a")
    (hour,) = (limit for limit in rate_limits._limits if limit.GRANULARITY.name == "hour")
    assert rate_limits._windows.get_window_stats(hour, "a").remaining == 1
