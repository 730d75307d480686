"""The backends that are open, each opened once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from playground.backends.backend import Backend
from playground.errors import ModelError

B = TypeVar("B", bound=Backend)


class Opened(Mapping[str, B]):
    """Open backends by the model's id. Any thread may call it.

    However many threads open a model, it is opened once, and none waits for another model.
    """

    def __init__(self) -> None:
        self._open: dict[str, B] = {}
        self._gates: dict[str, threading.Lock] = {}  # held while a model is opened
        self._lock = threading.Lock()
        self._closed = False

    def __getitem__(self, id: str) -> B:
        return self._open[id]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._open))

    def __len__(self) -> int:
        return len(self._open)

    def open(self, id: str, make: Callable[[], B]) -> B:
        """The backend of a model, made unless it is open. Raises ``ModelError`` after ``close``."""
        with self._lock:
            found = self._open.get(id)
            gate = self._gates.setdefault(id, threading.Lock())
        if found is not None:
            return found
        with gate:
            if id in self._open:
                return self._open[id]
            made = None if self._closed else make()
            with self._lock:
                if made is not None and not self._closed:
                    self._open[id] = made
                    return made
        if made is not None:
            made.close()
        raise ModelError("The playground is shutting down.")

    def is_coming(self, id: str) -> bool:
        """Whether a thread is opening this model."""
        gate = self._gates.get(id)
        return gate is not None and gate.locked()

    def drop(self, id: str) -> B | None:
        """Close a backend that has no runs, and return it; None where it has some."""
        with self._lock:
            found = self._open.get(id)
            if found is None or found.people:
                return None
            found.close()
            return self._open.pop(id)

    def close(self) -> None:
        """Close all; none can be opened afterwards."""
        with self._lock:
            self._closed = True
            backends = list(self._open.values())
            self._open.clear()
        for backend in backends:
            backend.close()
