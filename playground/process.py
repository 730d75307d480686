"""What the models of one process share: locks, measurements of kernels, and grammars.

A program that serves several models makes one ``Process`` and passes it to all of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from playground.remembered import Remembered
from strategies.grammars import Grammars

T = TypeVar("T")


class Measurements:
    """Measurements of this process's kernels, each made once for all models of one shape."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, _Entry] = {}
        self._lock = threading.Lock()

    def once(self, key: Hashable, measure: Callable[[], T]) -> T:
        """What ``measure`` returned when it was first called for this key.

        Threads that need the same measurement wait for it; other threads do not. A measurement that
        raises is made again at the next call.
        """
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
        with entry.lock:
            if not entry.known:
                entry.value, entry.known = measure(), True
            value: T = entry.value
        return value


@dataclass(eq=False)
class _Entry:
    value: Any = None
    known: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class Process:
    """Locks around torch and transformers, and what is made once for all models.

    Any thread may use it.

    ``loading`` is held while transformers is imported, whose parts import each other, and while it
    builds a model: it sets torch's default dtype meanwhile, and two at once would restore each
    other's. ``capturing`` is held while CUDA captures a step, of which there is one at a time, and
    while memory is given back to the device. ``tracing`` is held while TorchScript traces a
    forward. ``remembered`` holds results of earlier starts of the program; None if switched off.
    ``grammars`` try grammars out in a subprocess, which ``close`` ends.
    """

    def __init__(self, remembered: Remembered | None = None) -> None:
        self.remembered = remembered
        self.loading = threading.Lock()
        self.capturing = threading.Lock()
        self.tracing = threading.Lock()
        self.kernels = Measurements()
        self.grammars = Grammars()

    def close(self) -> None:
        """End what runs besides this process."""
        self.grammars.close()
