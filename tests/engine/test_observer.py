"""An observer hears of everything, once and in order, and cannot harm the loop."""

from __future__ import annotations

from typing import Any

import pytest

from playground.engine import Busy, FieldError, Limits, Observer, Observers, Request, Run
from tests.engine.models import engine


class Notes(Observer):
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def submitted(self, run: Run) -> None:
        self.heard.append(("submitted", run.request.prompt))

    def refused(self, request: Request, error: FieldError | Busy) -> None:
        self.heard.append(("refused", request.prompt))

    def started(self, run: Run) -> None:
        self.heard.append(("started", run.request.prompt))

    def stepped(self, tokens: int, seconds: float) -> None:
        assert seconds > 0
        self.heard.append(tokens)

    def ended(self, run: Run) -> None:
        assert run.done
        self.heard.append(("ended", run.request.prompt))


class Broken(Observer):
    def started(self, run: Run) -> None:
        raise OSError("the disk is full")


def test_what_happens_to_runs_is_told_once_and_in_order() -> None:
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
    assert notes.heard == [
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
