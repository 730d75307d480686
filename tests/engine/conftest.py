"""Models here are so small that a second thread costs more than it gives."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import torch

from playground.engine.forward import path
from strategies import Strategy
from tests.plugins import installed


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def every_way_as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """The paths of a forward that are used must not depend on other load of the machine."""
    monkeypatch.setattr(path, "perf_counter", itertools.count().__next__)


@pytest.fixture
def plugin() -> Iterator[Callable[[type[Strategy]], None]]:
    """Registers a strategy for the length of a test."""
    with ExitStack() as until_the_end:
        yield lambda strategy: until_the_end.enter_context(installed(strategy))
