"""What is called as runs come and go, to count them or to log them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playground.engine.request import Busy, FieldError, Request, ScoreRequest
    from playground.engine.run import Run

log = logging.getLogger(__name__)


class Observer:
    """Does nothing: a subclass overrides what it needs. Each call must be quick: the loop waits."""

    def submitted(self, run: Run) -> None:
        """A run was queued."""

    def refused(self, request: Request | ScoreRequest, error: FieldError | Busy) -> None:
        """A request could not be run as it is, or not now."""

    def started(self, run: Run) -> None:
        """A run left the queue; its prompt is read next."""

    def stepped(self, tokens: int, seconds: float) -> None:
        """One step of all lanes gave so many ``tokens``; a row may have had more than one."""

    def resumed(self, run: Run, seconds: float) -> None:
        """Lanes of a run had their next token so long after the loss of their writer was known."""

    def ended(self, run: Run) -> None:
        """A run is done; called before any thread that waits for it goes on."""


class Observers(Observer):
    """Several as one. One that fails is logged, and the loop and the others go on."""

    def __init__(self) -> None:
        self.all: list[Observer] = []

    def submitted(self, run: Run) -> None:
        self._call("submitted", run)

    def refused(self, request: Request | ScoreRequest, error: FieldError | Busy) -> None:
        self._call("refused", request, error)

    def started(self, run: Run) -> None:
        self._call("started", run)

    def stepped(self, tokens: int, seconds: float) -> None:
        self._call("stepped", tokens, seconds)

    def resumed(self, run: Run, seconds: float) -> None:
        self._call("resumed", run, seconds)

    def ended(self, run: Run) -> None:
        self._call("ended", run)

    def _call(self, event: str, *arguments: object) -> None:
        for observer in self.all:
            try:
                getattr(observer, event)(*arguments)
            except Exception:
                log.exception("%s of %s failed", event, type(observer).__name__)
