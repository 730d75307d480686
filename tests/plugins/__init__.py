"""Registers strategies for one test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from strategies import Strategy
from strategies.registry import Registry, registry


@contextmanager
def installed(*plugins: type[Strategy]) -> Iterator[None]:
    """Within it, recipes may name these strategies; they replace others of the same ids."""
    found = registry()
    ids = {plugin.info.id: plugin for plugin in plugins}
    extended = Registry({**found.strategies, **ids}, found.broken)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("strategies.registry._installed", lambda: extended)
        yield
