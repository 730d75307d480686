"""Who hears of runs as they happen, to count them or to write them down."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playground.engine.request import Busy, FieldError, Request
    from playground.engine.run import Run

log = logging.getLogger(__name__)


class Observer:
    """Hears of everything and does nothing. The loop waits for each call: they must be quick."""

    def submitted(self, run: Run) -> None:
        """It is in line."""

    def refused(self, request: Request, error: FieldError | Busy) -> None:
        """It could not be run as it was, or not now."""

    def started(self, run: Run) -> None:
        """It left the line, and its prompt is read next."""

    def stepped(self, tokens: int, seconds: float) -> None:
        """All rows at work got a token, some maybe more: so many together, in ``seconds``."""

    def ended(self, run: Run) -> None:
        """It is done; told before anybody who waits for it."""


class Observers(Observer):
    """Several as one. One that fails is logged, and the loop and the others go on."""

    def __init__(self) -> None:
        self.all: list[Observer] = []

    def submitted(self, run: Run) -> None:
        self._tell("submitted", run)

    def refused(self, request: Request, error: FieldError | Busy) -> None:
        self._tell("refused", request, error)

    def started(self, run: Run) -> None:
        self._tell("started", run)

    def stepped(self, tokens: int, seconds: float) -> None:
        self._tell("stepped", tokens, seconds)

    def ended(self, run: Run) -> None:
        self._tell("ended", run)

    def _tell(self, what: str, *about: object) -> None:
        for watch in self.all:
            try:
                getattr(watch, what)(*about)
            except Exception:
                log.exception("%s of %s failed", what, type(watch).__name__)
