"""How soon a run goes on after the death of its replica is known, by a simulated clock.

To wait takes no time: where nothing else is left to do, the clock goes on to the next timer. What
replicas compute takes none of its time either.
"""

from __future__ import annotations

import asyncio
import logging
import selectors
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from playground.backends import Load
from playground.backends.cluster.following import RESUMED_S, TRIES, Following
from playground.backends.cluster.messages import (
    Begun,
    Kind,
    NotBegun,
    PollAnswer,
    ReplicaLost,
    Wants,
)
from playground.backends.cluster.parts import Followed
from playground.engine import Engine, Limits, Observer, Run
from playground.engine.news import NewsFeed
from playground.models import load_folder
from playground.settings import Settings
from tests.backends.contract import SETTINGS, asked, tiny_model, written

KIND = Kind("float32", "simulated", "2.0")
REQUEST = asked("greedy", "temperature(0.9) | sample", "beam(2)")


class SimulatedClock(asyncio.SelectorEventLoop):
    """An event loop whose time passes only where it waits, and then at once."""

    def __init__(self) -> None:
        self.now = 0.0
        clock = self

        class Instantly(selectors.SelectSelector):
            def select(self, timeout: float | None = None) -> list[Any]:
                assert timeout is not None, "there is nothing to wait for"
                clock.now += max(0.0, timeout)
                return super().select(0)

        super().__init__(Instantly())

    def time(self) -> float:
        return self.now


class Simulated:
    """Replicas over one engine, of which the one that begins a run dies after some tokens.

    Each part that is to go on is then answered to by ``others``, one after the other, until one
    writes it.
    """

    def __init__(self, engine: Engine, others: Sequence[str]) -> None:
        self.engine, self.others = engine, others
        self.runs: dict[str, Run] = {}  # by part
        self.feeds: dict[str, NewsFeed] = {}
        self.called: dict[str, list[int]] = {}  # by part: ``again`` of each call to begin it
        self.told = False

    async def call(
        self, method: str, *given: Any, at: str | None = None, wants: Wants | None = None
    ) -> Any:
        if method == "begin":
            assert wants is not None
            return await self._begin(given[1], given[2], wants.again)
        assert method == "poll" and at is not None
        if at == "dies":
            if self.told:
                for run in self.runs.values():
                    run.cancel()
                raise ReplicaLost(at)
            self.told = True
            for _ in range(6):
                self.engine.step()
        else:
            for part in given[1]:
                self.engine.drive(self.runs[part])
        return PollAnswer(at, {part: self.feeds[part].news() for part in given[1]})

    async def _begin(self, part: str, request: Any, again: int) -> Begun | NotBegun:
        calls = self.called.setdefault(part, [])
        answers = [*self.others, "writes"] if len(self.called) > 1 else ["dies"]
        answer = answers[len(calls)]
        calls.append(again)
        if answer == "silent":
            await asyncio.get_running_loop().create_future()
        if answer == "lost":
            raise ReplicaLost("another")
        if answer == "leaving":
            return NotBegun("another", "It is about to stop.")
        self.runs[part] = self.engine.submit(request)
        self.feeds[part] = NewsFeed(self.runs[part])
        return Begun(answer, KIND)

    def loads(self) -> list[Load]:
        return []

    def fault(self) -> str:
        return ""


class Told(Observer):
    """The seconds after which runs went on."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def resumed(self, run: Run, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tiny_model(tmp_path_factory.mktemp("resuming") / "tiny")
    made = Engine(load_folder(folder, Settings(**SETTINGS)), limits=Limits(columns=8), rows=24)
    yield made
    made.close()


def gone_on(engine: Engine, others: Sequence[str]) -> tuple[Simulated, Run, list[float]]:
    """A run whose replica dies, and how long after that each of its lanes went on."""
    replicas, told = Simulated(engine, others), Told()
    run = engine.builder.run(REQUEST)
    loop = SimulatedClock()
    following = Following(replicas, "front", loop)

    async def whole() -> None:
        await following.write(Followed(run, told, 60.0))
        while not run.done:
            await asyncio.sleep(0.01)

    try:
        loop.run_until_complete(whole())
    finally:
        loop.close()
    return replicas, run, told.seconds


@pytest.mark.parametrize(
    ("others", "again"),
    [
        ([], [0]),
        (["lost", "lost"], [0, 1, 2]),
        (["silent", "silent"], [0, 1, 2]),
        (["leaving", "silent", "lost"], [0, 0, 1, 2]),
    ],
)
def test_a_run_goes_on_within_its_time_where_two_others_do_not_answer_either(
    engine: Engine, others: list[str], again: list[int]
) -> None:
    assert sum(other != "leaving" for other in others) <= TRIES
    replicas, run, seconds = gone_on(engine, others)
    first, *more = replicas.called.values()  # one for each lane that goes on, and one for the rest
    assert first == [0] and len(more) >= 2 and all(calls == again for calls in more)
    assert len(seconds) == len(more) and max(seconds) <= RESUMED_S == 3.0
    own = engine.submit(REQUEST)
    engine.drive(own)
    assert run.outcome == "done" and written(run.comparison()) == written(own.comparison())


def test_where_it_takes_longer_that_is_logged(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    _, run, seconds = gone_on(engine, ["silent"] * (TRIES + 1))
    assert run.outcome == "done" and min(seconds) > RESUMED_S
    assert f"run {run.id} went on {seconds[0]:.1f} s after its replica was lost" in caplog.text
