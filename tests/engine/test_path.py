"""A path of the forward is dropped where it is clearly slower, and not for one slow call."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from playground.engine.forward import path


@pytest.fixture
def taking(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], Callable[[], None]]:
    """Work that takes these seconds in turn, and the last of them from then on."""
    now = [0.0]
    monkeypatch.setattr(path, "perf_counter", lambda: now[0])

    def work(seconds: list[float]) -> Callable[[], None]:
        left = list(seconds)

        def run() -> None:
            now[0] += left.pop(0) if len(left) > 1 else left[0]

        return run

    return work


@pytest.mark.parametrize(
    "way, other, slower",
    [
        ([0.01], [0.01], False),
        ([0.019], [0.01], False),
        ([0.021], [0.01], True),
        ([0.5], [0.01], True),
        ([0.5, 0.019, 0.5], [0.01], False),  # once as fast: the others were hiccups
        ([0.021], [0.01, 0.03, 0.01], False),  # the other is as slow at times
    ],
)
def test_only_what_is_always_slower_is_dropped(way, other, slower, taking) -> None:  # type: ignore[no-untyped-def]
    assert path.is_slower(taking(way), taking(other)) is slower
