"""The page's events count as requests over HTTP do, from the same addresses."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from playground.rate_limits import TooFast
from playground.service import Service
from playground.settings import Settings
from playground.ui import uncached
from playground.ui.visitor import counted
from tests.traces import COLUMNS, comparison


@pytest.fixture
def service():
    return Service(Settings(model="gpt2", models=["gpt2"], rate_limit="2/minute"))


def visit(address="203.0.113.5", forwarded=(), page="a"):
    headers = SimpleNamespace(getlist=lambda name: list(forwarded))
    return SimpleNamespace(
        client=SimpleNamespace(host=address), headers=headers, session_hash=page
    )  # fmt: skip


def test_an_address_has_one_share_for_page_and_routes(service):
    service.rate_limits.count("203.0.113.5")  # as a route counts it
    assert counted(visit(page="a"), service) == "203.0.113.5"
    with pytest.raises(TooFast, match="2 requests per minute; try again in"):
        counted(visit(page="b"), service)  # another page of the same address
    assert counted(visit("203.0.113.6"), service) == "203.0.113.6"


def test_pages_on_this_machine_are_not_counted(service):
    assert [counted(visit("127.0.0.1", page="a"), service) for _ in range(5)] == ["a"] * 5


def test_measuring_a_column_again_counts_too(service):
    for _ in range(2):
        counted(visit(), service)
    with pytest.raises(TooFast):
        next(uncached.measure(service, comparison(COLUMNS, length=4), 0, visit()))
