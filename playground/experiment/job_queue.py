"""The queue of a server's experiments: which of them run, and which wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playground.experiment.job import Job

AT_WORK = 2  # experiments at once; more would only share the same rows


class JobQueue:
    """Runs ``AT_WORK`` experiments at once, in the order in which they arrived."""

    def __init__(self) -> None:
        self._waiting: list[object] = []
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, one: Job) -> Iterator[bool]:
        """Wait until ``one`` may run; yields False where it was stopped before that."""
        with self._changed:
            self._waiting.append(one)
            try:
                while not one.stopping and one not in self._waiting[:AT_WORK]:
                    ahead = self._waiting.index(one) - AT_WORK + 1
                    one.wait_for(ahead)
                    self._changed.wait(1.0)
            except BaseException:
                self._leave(one)
                raise
        try:
            yield not one.stopping
        finally:
            with self._changed:
                self._leave(one)

    def wake(self) -> None:
        """Wake those that wait, so that they see whether they were stopped."""
        with self._changed:
            self._changed.notify_all()

    def _leave(self, one: Job) -> None:
        self._waiting.remove(one)
        self._changed.notify_all()
