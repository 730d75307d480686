"""Each model is opened once, and nobody waits for another one's."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from playground.backends.opened import Opened
from playground.errors import ModelError


class Made:
    """All of a backend that this asks for."""

    def __init__(self, people: int = 0) -> None:
        self.people, self.closed = people, False

    def close(self) -> None:
        self.closed = True


def test_a_model_is_opened_once_while_others_come_and_go() -> None:
    opened: Opened[Any] = Opened()
    reached, go_on, made = threading.Event(), threading.Event(), []

    def slow() -> Made:
        reached.set()
        assert go_on.wait(30)
        made.append(Made())
        return made[-1]

    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(opened.open, "slow", slow) for _ in range(2)]
        assert reached.wait(30) and opened.is_coming("slow")
        quick = opened.open("quick", Made)
        assert list(opened) == ["quick"] and not opened.is_coming("quick")
        go_on.set()
        assert [one.result(30) for one in asked] == made * 2 and len(made) == 1
    assert opened.drop("quick") is quick and quick.closed
    assert opened.drop("quick") is None
    assert opened.open("quick", lambda: Made(people=1)) is not quick
    assert opened.drop("quick") is None and set(opened) == {"slow", "quick"}


def test_what_was_opened_too_late_is_closed() -> None:
    opened: Opened[Any] = Opened()
    late = Made()

    def closing() -> Made:
        opened.close()
        return late

    with pytest.raises(ModelError, match="shutting down"):
        opened.open("late", closing)
    assert late.closed and not opened
    with pytest.raises(ModelError, match="shutting down"):
        opened.open("later", lambda: pytest.fail("made though all is closed"))


def test_a_model_that_could_not_be_opened_is_tried_again() -> None:
    opened: Opened[Any] = Opened()
    with pytest.raises(ZeroDivisionError):
        opened.open("odd", lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    assert opened.open("odd", Made) is opened["odd"]
