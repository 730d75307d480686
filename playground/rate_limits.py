"""How many requests one client may make in a stretch of time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from playground.engine.request import Busy


class TooFast(Busy):
    """A client has made all the requests it may for now; ``retry_after_s`` is when it may again."""


class Rates:
    """Counts requests by client, in this process's memory. Any thread may call it."""

    def __init__(self, limits: str) -> None:
        """``limits`` is written ``60/minute``, several apart by commas; none where empty."""
        self._limits: list[RateLimitItem] = parse_many(limits) if limits else []
        self._windows = MovingWindowRateLimiter(MemoryStorage())
        self.refused: Callable[[], None] = lambda: None  # is told of each that was too fast

    def count(self, client: str) -> None:
        """Count a request, or raise ``TooFast`` and count none; an empty name is not counted."""
        if not client:
            return
        for limit in self._limits:
            if not self._windows.test(limit, client):
                free_at = self._windows.get_window_stats(limit, client).reset_time
                wait = max(1, math.ceil(free_at - time.time()))
                self.refused()
                raise TooFast(f"One client may make {_words(limit)}; try again in {wait} s.", wait)
        for limit in self._limits:
            self._windows.hit(limit, client)


def _words(limit: RateLimitItem) -> str:
    unit, requests = limit.GRANULARITY.name, "request" if limit.amount == 1 else "requests"
    span = unit if limit.multiples == 1 else f"{limit.multiples} {unit}s"
    return f"{limit.amount:,} {requests} per {span}"
