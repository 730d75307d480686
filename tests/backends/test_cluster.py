"""A front end over replicas, without Ray between them: every message is pickled, and a
replica can die at any moment.
"""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from playground.backends import Backend, Load
from playground.backends.cluster import following
from playground.backends.cluster import replica as replica_module
from playground.backends.cluster.backend import CALL_S, ClusterBackend, EventLoop
from playground.backends.cluster.messages import Kind, NoReplica, ReplicaLost, Wants
from playground.backends.cluster.replica import Replica, of_replica
from playground.backends.local import LocalBackends, limits
from playground.engine import Busy, Engine, FieldError, LaneView, Observers, Request, Run
from playground.engine.request import ScoreRequest
from playground.errors import ModelError
from playground.experiment.experiment import Experiment
from playground.experiment.runner import Runner
from playground.experiment.store import Store
from playground.process import Process
from playground.settings import Settings
from strategies import Refusal
from tests.backends.contract import (
    SETTINGS,
    WAIT_S,
    BackendContract,
    ClosingContract,
    asked,
    tiny_model,
    written,
)

PROCESS = Process()


class Here:
    """Replicas of this process; ``kill`` has one answer nothing any more."""

    def __init__(self, folder: Path, count: int) -> None:
        self.settings = Settings(**{**SETTINGS, "model": str(folder)})
        self.sent: list[Any] = []
        self.backends: list[LocalBackends] = []
        self.made: list[Replica] = []
        self.up: dict[str, Replica] = {}
        self.dead: dict[str, asyncio.Event] = {}
        self.calls: list[tuple[str, str]] = []
        self.chosen: Counter[str] = Counter()  # so that of replicas that are as free each is chosen
        self.reading: set[tuple[str, str]] = set()  # replicas, each with a prompt that was sent
        self.coming: Counter[str] = Counter()  # rows of calls that a replica has not answered
        for _ in range(count):
            self.add()

    def add(self) -> Replica:
        backends = LocalBackends(of_replica(self.settings), PROCESS, Observers())
        self.backends.append(backends)
        name = f"r{len(self.backends)}"
        self.up[name] = Replica(backends.open(), name)
        self.made.append(self.up[name])
        return self.up[name]

    async def call(
        self, method: str, *given: Any, at: str | None = None, wants: Wants | None = None
    ) -> Any:
        wants = wants or Wants()
        name = at or await self._best(wants)
        self.coming[name] += wants.rows
        try:
            return await self._called(name, method, *given)
        finally:
            self.coming[name] -= wants.rows

    async def _called(self, name: str, method: str, *given: Any) -> Any:
        if name not in self.up:
            raise ReplicaLost(name)
        self.calls.append((method, name))
        dead = self.dead.setdefault(name, asyncio.Event())
        sent = pickle.loads(pickle.dumps(given))
        self.sent += sent
        answer = asyncio.ensure_future(getattr(self.up[name], method)(*sent))
        gone = asyncio.ensure_future(dead.wait())
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # Serve cancels the call there, too
            answer.cancel()
            gone.cancel()
            raise
        gone.cancel()
        await asyncio.wait({gone})
        if dead.is_set():
            answer.cancel()
            raise ReplicaLost(name)
        return pickle.loads(pickle.dumps(answer.result()))

    async def _best(self, wants: Wants) -> str:
        found = {name: await one.load() for name, one in list(self.up.items())}
        there = {name: load for name, load in found.items() if not load["leaving"]}
        if not there:
            raise NoReplica("none is up.")
        free = {
            name: there[name]["free"] - self.coming[name]
            for name in sorted(there, key=self.chosen.__getitem__)
        }
        read = [
            name
            for name, load in there.items()
            if wants.prompt in load["prompts"] or (name, wants.prompt) in self.reading
        ]
        best = wants.ranked(free, read)[0]
        self.chosen[best] += 1
        self.reading.add((best, wants.prompt))
        return best

    def loads(self) -> list[Load]:
        return [one.backend.health().loads[0] for one in self.up.values()]

    def fault(self) -> str:
        return ""

    def kill(self, name: str) -> None:
        del self.up[name]
        self.dead[name].set()

    def close(self) -> None:
        for replica in self.made:
            replica.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("cluster") / "tiny")


@pytest.fixture(scope="module")
def loop() -> Iterator[EventLoop]:
    made = EventLoop()
    yield made
    made.close()


def front(replicas: Here, loop: EventLoop, **more: Any) -> ClusterBackend:
    described = loop.run(replicas.call("describe"))
    bounds, grammars = replace(limits(replicas.settings), **more), PROCESS.grammars
    return ClusterBackend(replicas, described, bounds, Observers(), loop, grammars)


@pytest.fixture(scope="class")
def replicas(folder: Path) -> Iterator[Here]:
    made = Here(folder, 2)
    yield made
    made.close()


@pytest.fixture(scope="class")
def backend(replicas: Here, loop: EventLoop) -> Iterator[Backend]:
    made = front(replicas, loop)
    yield made
    made.close()


class TestCluster(BackendContract):
    pass


class TestClosing(ClosingContract):
    pass


@pytest.fixture(scope="module")
def reference(folder: Path) -> Iterator[Engine]:
    backends = LocalBackends(Settings(**{**SETTINGS, "model": str(folder)}), PROCESS, Observers())
    yield backends.open().engine
    backends.close()


@pytest.fixture(scope="module")
def kept(folder: Path, loop: EventLoop) -> Iterator[Here]:
    made = Here(folder, 0)
    yield made
    made.close()


@pytest.fixture
def three(kept: Here) -> Here:
    """Three that are up, some of them from the test before."""
    for name, one in list(kept.up.items()):
        if one._leaving or one.kind != replica_module.kind(one.backend):
            del kept.up[name]
    while len(kept.up) < 3:
        kept.add()
    kept.calls.clear()
    kept.sent.clear()
    return kept


def follow(run: Run, until: Callable[[], bool]) -> None:
    version, end = -1, time.monotonic() + WAIT_S
    while not until() and not run.done and time.monotonic() < end:
        version = run.wait(version, 1.0)
    assert until()


def lengths(run: Run) -> list[int]:
    """Characters of the texts that are shown."""
    return [len("".join(step.text for step in view.path())) for view in run.views]


LOSSES = (
    "greedy",
    "temperature(0.9) | top_p(0.95) | sample",
    "mirostat_v2(3.0) | sample",
    "dry(0.8) | xtc(0.1, probability=0.5) | sample",
    "sample(2)",
    "beam(2)",
)


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_run_survives_its_replicas_with_the_same_text(
    three: Here, loop: EventLoop, reference: Engine, deaths: int
) -> None:
    backend = front(three, loop)
    request = asked(*LOSSES, max_new_tokens=120, min_new_tokens=40, stop=["zq"], prompt="survive")
    own = reference.submit(request)
    (run,) = backend.submit_all([request])
    for death in range(deaths):
        least = 8 + 20 * death
        follow(run, lambda least=least: len(run.views[0].path()) >= least)
        shown = lengths(run)
        writing = [name for name in list(backend.following._parts) if name in three.up]
        for name in writing[:1]:
            loop.loop.call_soon_threadsafe(three.kill, name)
        follow(run, lambda most=shown[0]: run.done or lengths(run)[0] > most)
        now = lengths(run)[:4]  # a text of several rows, or one that goes back, may be another
        assert all(after >= before for after, before in zip(now, shown, strict=False))
    assert run.join(WAIT_S) and own.join(WAIT_S)
    assert run.outcome == "done" and run.error is None and not run.notice
    for got, wanted in zip(written(run.comparison()), written(own.comparison()), strict=True):
        assert got == wanted
    resumed = [given for given in three.calls if given[0] == "begin"]
    assert len(resumed) > deaths
    backend.close()


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (Kind("bfloat16", "another", "2.0"), "in another number format (bfloat16, another)"),
        (Kind("float32", "another", "2.0"), "on another processor (float32, another)"),
    ],
)
def test_a_replica_of_another_kind_begins_anew_and_that_is_said(
    three: Here, loop: EventLoop, kind: Kind, told: str
) -> None:
    backend = front(three, loop)
    request = asked("greedy", "beam(2)", max_new_tokens=150, min_new_tokens=150, prompt="kind")
    (run,) = backend.submit_all([request])
    follow(run, lambda: len(run.views[0].path()) >= 8)
    (name,) = backend.following._parts
    for other, one in three.up.items():
        if other != name:
            one.kind = kind
    loop.loop.call_soon_threadsafe(three.kill, name)
    assert run.join(WAIT_S) and run.outcome == "done"
    assert told in run.notice and "may differ" in run.notice
    assert [len(lane.token_ids) for lane in run.comparison().lanes] == [150, 150]
    backend.close()


def test_a_replica_that_leaves_loses_nothing(
    three: Here, loop: EventLoop, reference: Engine
) -> None:
    backend = front(three, loop)
    requests = [asked("greedy", "sample", seed=seed, max_new_tokens=100) for seed in range(6)]
    runs = backend.submit_all(requests)
    follow(runs[0], lambda: bool(runs[0].views[0].path()))
    for name in list(three.up)[:2]:  # a rolling restart: each leaves once another has come
        three.add()
        loop.run(three.up[name].leave())
        assert all(run.error is None for run in runs)
    for run, request in zip(runs, requests, strict=True):
        own = reference.submit(request)
        assert run.join(WAIT_S) and own.join(WAIT_S) and run.outcome == "done"
        assert written(run.comparison()) == written(own.comparison())
    backend.close()


def test_where_no_replica_is_left_the_page_says_so_and_then_it_goes_on(
    three: Here, loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "WAITING_S", 0.1)
    backend = front(three, loop)
    (run,) = backend.submit_all([asked("greedy", max_new_tokens=200, min_new_tokens=200)])
    follow(run, lambda: len(run.views[0].path()) >= 4)
    for name in list(three.up):
        loop.loop.call_soon_threadsafe(three.kill, name)
    follow(run, lambda: run.notice != "")
    assert run.notice == "Waiting for a replica of the model: none is up."
    three.add()
    assert run.join(WAIT_S) and run.outcome == "done" and run.notice == ""
    backend.close()


def test_the_runs_of_a_front_end_that_died_end(
    three: Here, loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_module, "LEASE_S", 0.4)
    backend = front(three, loop)
    backend.submit_all([asked("greedy", max_new_tokens=400, min_new_tokens=400)])
    end = time.monotonic() + WAIT_S
    while not any(load.running for load in three.loads()) and time.monotonic() < end:
        time.sleep(0.01)
    for poll in backend.following._polls.values():  # it asks for nothing any more
        loop.loop.call_soon_threadsafe(poll.cancel)
    while any(load.running for load in three.loads()) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(load.running for load in three.loads())


def test_stop_reaches_a_part_that_is_being_begun(
    three: Here, loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, call, begins = front(three, loop), three.call, 0
    request = asked("greedy", "beam(2)", max_new_tokens=300, min_new_tokens=300)
    (run,) = backend.submit_all([request])
    follow(run, lambda: len(run.views[0].path()) >= 4)

    async def stopped(method: str, *given: Any, **more: Any) -> Any:
        nonlocal begins
        answer = await call(method, *given, **more)
        if method == "begin":
            begins += 1
            if begins == 2:  # of the beams; the other lane is written again by now
                while not backend.following._parts:
                    await asyncio.sleep(0.01)
                run.cancel()
                await asyncio.sleep(0.1)
        return answer

    monkeypatch.setattr(three, "call", stopped)
    (name,) = backend.following._parts
    loop.loop.call_soon_threadsafe(three.kill, name)
    assert run.join(WAIT_S) and begins >= 2  # more where a busy machine answers too late
    assert [view.finish_reason for view in run.views] == ["cancelled", "cancelled"]
    backend.close()


def test_news_may_come_before_the_answer_to_begin(
    three: Here, loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are two calls, and the response to the later one may come first."""
    for name in list(three.up)[1:]:
        del three.up[name]
    backend, call = front(three, loop), three.call
    (long,) = backend.submit_all([asked("greedy", max_new_tokens=300, min_new_tokens=300)])
    follow(long, lambda: len(long.views[0].path()) >= 2)

    async def slowly(method: str, *given: Any, **more: Any) -> Any:
        answer = await call(method, *given, **more)
        if method == "begin":
            while not backend.following._early[given[1]]:
                await asyncio.sleep(0.01)
        return answer

    monkeypatch.setattr(three, "call", slowly)
    (run,) = backend.submit_all([asked("greedy", "beam(2)", max_new_tokens=8, min_new_tokens=8)])
    assert run.join(WAIT_S) and run.outcome == "done"
    assert all(len(lane.token_ids) == 8 for lane in run.comparison().lanes)
    long.cancel()
    assert long.join(WAIT_S) and not backend.following._early
    backend.close()


def test_to_begin_is_to_be_there(three: Here, loop: EventLoop) -> None:
    """A front end without runs does not poll, and is not considered gone when it begins one."""
    one = next(iter(three.up.values()))
    one._seen("idle").seen = 0.0
    loop.run(one.begin("idle", "a", asked("greedy", max_new_tokens=2)))
    assert one._fronts["idle"].seen > 0.0


def test_a_run_that_is_begun_too_late_ends_there_and_is_written_by_another(
    three: Here, loop: EventLoop, reference: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "ANSWER_S", 0.3)
    late: list[Run] = []
    first, go_on = threading.Lock(), threading.Event()

    def slowly(one: Replica) -> Callable[..., list[Run]]:
        submit_all = one.backend.submit_all

        def submitted(requests: Any) -> list[Run]:
            if not first.acquire(blocking=False):
                return submit_all(requests)
            assert go_on.wait(WAIT_S)
            late.extend(submit_all(requests))
            return late

        return submitted

    begun: list[str] = []
    call = three.call

    async def counted(method: str, *given: Any, **more: Any) -> Any:
        if method == "begin":
            begun.append(method)
        return await call(method, *given, **more)

    monkeypatch.setattr(three, "call", counted)
    for one in three.up.values():
        monkeypatch.setattr(one.backend, "submit_all", slowly(one))
    backend = front(three, loop)
    request = asked("greedy", "sample", max_new_tokens=400, min_new_tokens=400, prompt="late")
    own = reference.submit(request)
    try:
        (run,) = backend.submit_all([request])
        assert run.join(WAIT_S) and len(begun) >= 2 and not late  # more on a busy machine
    finally:
        go_on.set()
    assert run.outcome == "done" and own.join(WAIT_S)
    assert written(run.comparison()) == written(own.comparison())
    end = time.monotonic() + WAIT_S
    while not late and time.monotonic() < end:
        time.sleep(0.01)
    (lost,) = late
    assert lost.join(WAIT_S) and lost.outcome == "cancelled"
    assert len(lost.views[0].path()) < 400
    fronts = [front for one in three.up.values() for front in one._fronts.values()]
    assert not any(part.run is lost for front in fronts for part in front.parts.values())
    backend.close()


def test_what_every_replica_refuses_is_not_asked_for_ever(three: Here, loop: EventLoop) -> None:
    backend = front(three, loop, columns=64)
    (run,) = backend.submit_all([asked(*["greedy"] * 7, max_new_tokens=2)])
    assert run.join(WAIT_S) and run.outcome == "error"
    assert all(lane.error and "at most 6" in lane.error for lane in run.comparison().lanes)
    backend.close()


def test_what_nobody_foresaw_is_given_up_in_the_end(
    three: Here, loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = front(three, loop)

    async def odd(method: str, *given: Any, **more: Any) -> Any:
        raise RuntimeError("odd")

    monkeypatch.setattr(three, "call", odd)
    monkeypatch.setattr(following, "AGAIN_S", 0.0)
    (run,) = backend.submit_all([asked("greedy")])
    assert run.join(WAIT_S) and run.views[0].error == "No replica could begin it: odd."
    backend.close()


def test_a_strategy_that_fails_when_it_is_asked_of_its_text_ends_its_run_alone(
    three: Here, loop: EventLoop, reference: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = LaneView.final

    def failing(self: LaneView, held: Any) -> int:
        if "beam" in str(self.recipe):
            raise Refusal("This expression takes too long.")
        return final(self, held)

    monkeypatch.setattr(LaneView, "final", failing)
    backend = front(three, loop)
    one, other = backend.submit_all([asked("greedy"), asked("beam(2)")])
    own = reference.submit(asked("greedy"))
    assert one.join(WAIT_S) and other.join(WAIT_S) and own.join(WAIT_S)
    assert written(one.comparison()) == written(own.comparison())
    assert other.outcome == "error"
    assert other.views[0].error == "This expression takes too long."
    assert sum(method == "begin" for method, _ in three.calls) == 2
    backend.close()


def test_a_slow_strategy_keeps_no_other_call_waiting(
    three: Here, loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    final, reached, go_on = LaneView.final, threading.Event(), threading.Event()

    def slow(self: LaneView, held: Any) -> int:
        reached.set()
        go_on.wait(WAIT_S)
        return final(self, held)

    monkeypatch.setattr(LaneView, "final", slow)
    backend = front(three, loop)
    (run,) = backend.submit_all([asked("greedy", max_new_tokens=4)])
    assert reached.wait(WAIT_S)
    try:
        (name,) = backend.following._parts
        assert loop.run(three.call("fares", at=name), 5).replica == name
    finally:
        go_on.set()
    assert run.join(WAIT_S) and run.outcome == "done"
    backend.close()


def test_what_a_replica_refuses_is_raised_here(
    three: Here, loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = front(three, loop)
    request = ScoreRequest(prompt="abc", text="def", recipes=asked("greedy").recipes)

    def busy(*_: Any) -> Any:
        raise Busy("The line is full.", 7)

    for one in three.up.values():
        monkeypatch.setattr(one.backend, "score_text", busy)
    with pytest.raises(Busy, match="The line is full") as error:
        backend.score_text(request, lambda: False)
    assert error.value.retry_after_s == 7
    monkeypatch.setattr(three, "up", {})
    with pytest.raises(ModelError, match="none is up"):
        backend.score_text(request, lambda: False)
    with pytest.raises(ModelError, match="did not answer within"):
        loop.run(asyncio.sleep(60), 0.01)
    backend.close()


def test_that_work_of_the_front_end_failed_is_logged(
    loop: EventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    failed = threading.Event()

    async def fails() -> None:
        loop.loop.call_later(0.05, failed.set)
        raise RuntimeError("odd")

    loop.start(fails())
    assert failed.wait(WAIT_S)
    assert [str(one.exc_info[1]) for one in caplog.records if one.exc_info] == ["odd"]


def test_errors_cross_processes() -> None:
    error = FieldError("recipes.1", "Too many.")
    error.number = 2
    sent: FieldError = pickle.loads(pickle.dumps(error))
    assert (sent.field, sent.message, str(sent), sent.number) == (
        "recipes.1", "Too many.", "Too many.", 2,
    )  # fmt: skip


def test_replicas_know_whose_a_run_is(three: Here, loop: EventLoop) -> None:
    """Their queues are fair across clients, as the queue of one process is."""
    backend = front(three, loop)
    (run,) = backend.submit_all([asked("greedy", max_new_tokens=2, client="ann")])
    assert run.join(WAIT_S)
    assert [one.client for one in three.sent if isinstance(one, Request)] == ["ann"]
    backend.close()


def test_two_front_ends_share_replicas(three: Here, loop: EventLoop, reference: Engine) -> None:
    fronts = [front(three, loop), front(three, loop)]
    request = asked("greedy", "sample", max_new_tokens=60)
    runs = [backend.submit_all([request])[0] for backend in fronts]
    own = reference.submit(request)
    assert own.join(WAIT_S) and all(run.join(WAIT_S) for run in runs)
    assert all(written(run.comparison()) == written(own.comparison()) for run in runs)
    for backend in fronts:
        backend.close()


def test_a_prompt_goes_where_it_was_read(three: Here, loop: EventLoop) -> None:
    backend = front(three, loop)
    for _ in range(4):
        (run,) = backend.submit_all([asked("greedy", prompt="the same", max_new_tokens=2)])
        assert run.join(WAIT_S)
    assert len({name for method, name in three.calls if method == "begin"}) == 1
    assert run.comparison().timings.prompt_known
    backend.close()


def test_the_freest_replica_is_chosen_unless_reading_the_prompt_costs_more() -> None:
    free = {"a": 10.0, "b": 14.0, "c": float("-inf")}
    assert Wants(4).ranked(free, []) == ["b", "a", "c"]
    assert Wants(4).ranked(free, ["a"])[0] == "a"
    assert Wants(3).ranked(free, ["a"])[0] == "b"  # the other one has more than one such run less
    assert Wants(3, reading=1).ranked(free, ["a"])[0] == "a"
    assert Wants(12, reading=90).ranked(free, ["a"])[0] == "b"  # the run has no room there
    assert Wants(0).ranked(free, ["a"])[0] == "a"
    assert Wants(0).ranked(free, ["c"])[0] == "b"  # it is leaving
    assert Wants(1).ranked({}, []) == []


def test_an_experiment_is_spread_over_all_replicas(
    three: Here, loop: EventLoop, reference: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = front(three, loop)
    experiment = Experiment.of(
        {
            "prompts": [f"prompt {number}" for number in range(4)],
            "recipes": ["greedy", "temperature(0.9) | sample(4)"],
            "seeds": 3,
            "max_new_tokens": 16,
            "metrics": ["length"],
        }
    )
    with Store(None) as here, Store(None) as there:
        own = Runner(experiment, reference, here)
        assert sum(1 for _ in own.run()) == experiment.cells
        spread = Runner(experiment, backend.spread, there)
        assert spread.facts == own.facts and spread.keys == own.keys
        assert sum(1 for _ in spread.run()) == experiment.cells
        wanted, found = own.samples(), spread.samples()
    assert found.keys() == wanted.keys()
    assert all(found[cell].text == wanted[cell].text for cell in found)
    assert len({name for method, name in three.calls if method == "begin"}) == 3
    texts = [[number, 7, 9] for number in range(11)]
    patience: list[float | None] = []
    run = loop.run

    def patient(work: Any, timeout: float | None = None) -> Any:
        patience.append(timeout)
        return run(work, timeout)

    monkeypatch.setattr(loop, "run", patient)
    assert spread.engine.features(texts) == pytest.approx(reference.features(texts), abs=1e-5)
    assert patience == [8 * CALL_S, 3 * CALL_S]  # long texts take a forward each
    backend.close()


def steps_of(
    replicas: Here, loop: EventLoop, monkeypatch: pytest.MonkeyPatch, prompts: int
) -> list[list[int]]:
    """The rows of each step of each replica in an experiment of 48 texts of 24 tokens.

    A step mostly sleeps, as that of a machine of its own would do for this process.
    """
    taken: list[list[int]] = []
    for one in replicas.up.values():
        engine, rows = one.backend.engine, []
        taken.append(rows)

        def decode(engine: Engine = engine, rows: list[int] = rows, step: Any = None) -> None:
            if engine.rows_in_use:
                rows.append(engine.rows_in_use)
                time.sleep(0.01)
            step()

        step = engine.loop._decode
        monkeypatch.setattr(engine.loop, "_decode", partial(decode, step=step))
    backend = front(replicas, loop)
    asked_for = {
        "prompts": [f"prompt {number}" for number in range(prompts)],
        "recipes": ["temperature(0.9) | sample"],
        "seeds": 48 // prompts,
        "max_new_tokens": 24,
        "min_new_tokens": 24,
        "metrics": ["length"],
    }
    with Store(None) as there:
        assert sum(1 for _ in Runner(Experiment.of(asked_for), backend.spread, there).run()) == 48
    backend.close()
    return taken


@pytest.mark.parametrize("prompts", [1, 4])
def test_an_experiment_is_shared_out_to_each_further_replica(
    folder: Path, loop: EventLoop, monkeypatch: pytest.MonkeyPatch, prompts: int
) -> None:
    """On as many machines as replicas its time is that of the busiest one's work: of its rows'
    steps, since how many rows share a step depends on how busy this machine is.
    """
    most: list[int] = []
    for count in (1, 2, 4):
        replicas = Here(folder, count)
        taken = steps_of(replicas, loop, monkeypatch, prompts)
        replicas.close()
        most.append(max(map(sum, taken)))
    assert most[0] > 1.4 * most[1] > 1.4 * 1.4 * most[2]


def test_no_run_of_an_experiment_is_wider_than_one_replica(three: Here, loop: EventLoop) -> None:
    backend = front(three, loop)
    heats = [f"temperature({heat}) | sample(8)" for heat in (0.5, 0.7, 0.9, 1.1)]
    asked_for = {"prompts": ["abab"], "recipes": heats, "seeds": 1, "max_new_tokens": 2}
    experiment = Experiment.of(asked_for | {"metrics": ["length"]})
    assert backend.builder.rows < 4 * 8 < backend.spread.rows / 2
    with Store(None) as there:
        assert sum(1 for _ in Runner(experiment, backend.spread, there).run()) == 4
    backend.close()


def test_on_a_slow_line_messages_grow_longer_and_not_more(
    three: Here, loop: EventLoop, reference: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, call = front(three, loop), three.call

    async def slow(method: str, *given: Any, **more: Any) -> Any:
        await asyncio.sleep(0.2)
        answer = await call(method, *given, **more)
        await asyncio.sleep(0.2)
        return answer

    monkeypatch.setattr(three, "call", slow)
    request = asked("greedy", "sample", max_new_tokens=200, min_new_tokens=200)
    (run,) = backend.submit_all([request])
    own = reference.submit(request)
    assert run.join(WAIT_S) and own.join(WAIT_S)
    assert written(run.comparison()) == written(own.comparison())
    polls = sum(method == "poll" for method, _ in three.calls)
    assert polls < 100  # each of the 200 tokens of both lanes was told
    backend.close()
