"""Models here are so small that a second thread costs more than it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from strategies import Strategy
from strategies.registry import registry


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Strategy]], None]:
    """Registers a strategy for the length of a test."""

    def register(strategy: type[Strategy]) -> None:
        known: dict[str, Any] = registry().strategies
        monkeypatch.setitem(known, strategy.info.id, strategy)

    return register
