"""A limit to the requests of one client per time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from playground.engine.request import Busy


class TooFast(Busy):
    """A client has used up its requests; the next one is allowed in ``retry_after_s`` seconds."""


class RateLimits:
    """Counts the requests of each client in this process's memory. Any thread may call it."""

    def __init__(self, limits: str) -> None:
        """``limits`` is written ``60/minute``, several with commas between; empty means none."""
        self._limits: list[RateLimitItem] = parse_many(limits) if limits else []
        self._windows = MovingWindowRateLimiter(MemoryStorage())
        self.refused: Callable[[], None] = lambda: None  # called at each refusal

    def count(self, client: str) -> None:
        """Count a request, or raise ``TooFast`` without counting it. The client "" has no limit."""
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
