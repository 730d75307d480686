"""What a client is told where there are too many."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from playground.api import application
from playground.engine import Request
from strategies import Recipe
from tests.api.asking import ask, faults, freed

ADDRESS = "203.0.113.5"


def at(address, service):
    """A client at this address."""
    return TestClient(application(service), raise_server_exceptions=False, client=(address, 5000))


@pytest.fixture
def held(service):
    """As many endless runs of one address as it may have."""
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
    answer = ask(at(ADDRESS, service))
    assert "8 of your runs" in faults(answer, 429)[("run",)]
    assert int(answer.headers["retry-after"]) >= 1
    assert ask(at("203.0.113.6", service)).status_code == 200
    assert ask(at("127.0.0.1", service)).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_full_line_refuses_before_a_stream_begins(service, held, monkeypatch, stream):
    line = service.engine()._line
    monkeypatch.setattr(line, "limits", replace(line.limits, waiting=0))
    answer = ask(at("127.0.0.1", service), stream=stream)
    assert "no more are taken" in faults(answer, 429)[("run",)] and answer.headers["retry-after"]
