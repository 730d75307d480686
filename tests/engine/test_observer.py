"""An observer is called once for every event, in order, and its errors do not stop the loop."""

from __future__ import annotations

from typing import Any

import pytest

from playground.engine import Busy, FieldError, Limits, Observer, Observers, Request, Run
from tests.engine.models import engine


class Notes(Observer):
    def __init__(self) -> None:
        self.events: list[Any] = []

    def submitted(self, run: Run) -> None:
        self.events.append(("submitted", run.request.prompt))

    def refused(self, request: Request, error: FieldError | Busy) -> None:
        self.events.append(("refused", request.prompt))

    def started(self, run: Run) -> None:
        self.events.append(("started", run.request.prompt))

    def stepped(self, tokens: int, seconds: float) -> None:
        assert seconds > 0
        self.events.append(tokens)

    def ended(self, run: Run) -> None:
        assert run.done
        self.events.append(("ended", run.request.prompt))


class Broken(Observer):
    def started(self, run: Run) -> None:
        raise OSError("the disk is full")


def test_every_event_is_observed_once_and_in_order() -> None:
    notes, observers = Notes(), Observers()
    observers.all += [Broken(), notes]
    served = engine(rows=3, limits=Limits(waiting=2))
    served.loop.observer = observers
    first, second = (
        served.submit(Request(prompt=name, recipes=["greedy", "beam(2)"], max_new_tokens=3))
        for name in "ab"
    )
    for prompt, error in (("c", Busy), ("", FieldError)):
        with pytest.raises(error):
            served.submit(Request(prompt=prompt, recipes=["greedy"]))
    second.cancel()
    served.drive(first)
    assert notes.events == [
        ("submitted", "a"),
        ("submitted", "b"),
        ("refused", "c"),
        ("refused", ""),
        ("ended", "b"),
        ("started", "a"),
        3,
        ("ended", "a"),  # in its last step
        3,
    ]
