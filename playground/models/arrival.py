"""A model that is being fetched and loaded: its estimate, its progress, and its cancellation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from playground.errors import ModelError

Stage = Literal["asking", "fetching", "reading", "checking"]


class GivenUp(ModelError):
    """Every caller that waited for a model left before it was loaded."""


@dataclass(frozen=True)
class Estimate:
    """What a model will take, in bytes. ``memory`` is None where only its weights determine it.

    ``download`` is what is not on this machine yet, and ``disk`` what is free there. ``room`` is
    the memory that this host has for models, of which loaded ones take ``held``.
    """

    id: str
    title: str
    summary: str
    download: int
    memory: int | None
    disk: int
    room: int
    held: int


class Arrival:
    """The progress of a model, for all callers that wait for it. Any thread may read it.

    ``done`` of ``total`` bytes are fetched; ``total`` is 0 while that is not known.
    """

    def __init__(self, id: str) -> None:
        self.id = id
        self.stage: Stage = "asking"
        self.done = self.total = 0
        self.waiting = 0
        self._lock = threading.Lock()

    def reach(self, stage: Stage) -> None:
        """Begin the next stage. Raises ``GivenUp`` where nobody waits for the model any more."""
        self.check()
        self.stage = stage

    def fetched(self, count: int) -> None:
        """Add bytes that were fetched. Raises ``GivenUp`` as ``reach`` does."""
        with self._lock:
            self.done += count
        self.check()

    def join(self) -> None:
        with self._lock:
            self.waiting += 1

    def leave(self) -> None:
        """One caller waits no more; with the last of them the model is given up."""
        with self._lock:
            self.waiting -= 1

    @property
    def given_up(self) -> bool:
        return self.waiting <= 0

    def check(self) -> None:
        if self.given_up:
            raise GivenUp(f"{self.id} is not loaded: whoever waited for it has left.")


class Waiting:
    """One caller that waits for a model. ``left`` is called with the arrival when it leaves."""

    def __init__(self, arrival: Arrival, left: Callable[[Arrival], None]) -> None:
        self.arrival = arrival
        self._left = left
        self._once = threading.Lock()

    @property
    def has_left(self) -> bool:
        return self._once.locked()

    def leave(self) -> None:
        """Wait no more; a second call changes nothing."""
        if self._once.acquire(blocking=False):
            self.arrival.leave()
            self._left(self.arrival)


class Arrivals:
    """The arrivals of all models that are waited for, by id."""

    def __init__(self) -> None:
        self._under_way: dict[str, Arrival] = {}
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._under_way))

    def find(self, id: str) -> Arrival | None:
        return self._under_way.get(id)

    def wait_for(self, id: str) -> Waiting:
        """Wait for a model, together with callers that wait for it already."""
        with self._lock:
            arrival = self._under_way.get(id)
            if arrival is None or arrival.given_up:
                arrival = self._under_way[id] = Arrival(id)
            arrival.join()
        return Waiting(arrival, self._left)

    @contextmanager
    def expecting(self, id: str) -> Iterator[Arrival]:
        """Wait for a model for as long as the block lasts."""
        waiting = self.wait_for(id)
        try:
            yield waiting.arrival
        finally:
            waiting.leave()

    def _left(self, arrival: Arrival) -> None:
        with self._lock:
            if arrival.given_up and self._under_way.get(arrival.id) is arrival:
                del self._under_way[arrival.id]

    @contextmanager
    def loading(self, id: str) -> Iterator[Arrival]:
        """The arrival of a model that the caller loads now; a new one where nobody waits for it."""
        arrival = self.find(id)
        if arrival is None:
            arrival = Arrival(id)
            arrival.join()
        yield arrival
