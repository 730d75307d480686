"""Replicas over Ray Serve against the engine of this process, with as many threads each.

All replicas are on this machine: what is measured is the cost of the way to them, not the speed of
more machines. That is estimated from it in ``estimate``, and reported separately.
"""

from __future__ import annotations

import datetime
import gc
import os
import pickle
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from playground.backends import Backend
from playground.bench.conditions import machine
from playground.bench.estimate import Costs, estimated
from playground.bench.load import PROMPTS, RECIPES
from playground.bench.simulation import Crowd, Outcome, Step, fitted, simulate
from playground.cycles import look_less
from playground.engine import Request, Run
from playground.engine.news import NewsFeed
from playground.experiment.experiment import Experiment
from playground.experiment.runner import Runner
from playground.experiment.store import Store
from playground.service import Service
from playground.settings import Settings
from strategies import Recipe

ROWS = (3, 12, 30, 60, 90)  # of the steps that the simulation's times are taken from
STEPS = 8
# The first number in a prompt: no crowd has one that was read before, and all are as long.
FIRST_CROWD, FIRST_TIMED, FIRST_COUNTED = 1000, 5000, 9000
COME_UP_S = 300.0
CALLS = 200  # of Serve's router, one after the other
EXPERIMENT_SEEDS = 10  # for each prompt, with two recipes
HOP_MS, LOST = 2.0, 0.1  # the goals: a token's way, and the throughput that is lost
REPLICAS, CLIENTS = 100, 10_000
PAUSES = (60.0, 20.0)  # of a simulated client between two runs


@dataclass(frozen=True)
class Served:
    """``clients`` at once, each with three recipes, of several times the median, in seconds.

    ``message`` is the way of a message with the records of a step, ``hop`` that of one of its
    tokens, both in milliseconds; None where there is none.
    """

    engines: int  # replicas; 0 is the engine of this process
    clients: int
    seconds: float
    tokens_per_second: float
    first_p95: float
    message_p50: float | None = None
    message_p95: float | None = None
    hop_p50: float | None = None

    @property
    def where(self) -> str:
        return _where(self.engines)


@dataclass(frozen=True)
class Experimented:
    """The same experiment of so many ``texts``; seconds."""

    engines: int
    texts: int
    seconds: float


@dataclass(frozen=True)
class Report:
    """What was measured, and what is estimated from it."""

    model: str
    machine: str
    cores: int
    date: str
    threads: int
    tokens: int
    repeats: int
    served: list[Served]
    experiments: list[Experimented]
    step: Step
    costs: Costs
    simulated: list[Outcome]

    @property
    def clients(self) -> int:
        """Those of the goals."""
        return max(one.clients for one in self.served)

    @property
    def lost(self) -> float:
        """The share of throughput that one replica loses against the engine of this process."""
        full = [one for one in self.served if one.clients == self.clients]
        rates = {one.engines: one.tokens_per_second for one in full}
        return 1 - rates[min(n for n in rates if n)] / rates[0]

    def __str__(self) -> str:
        lines = [
            f"Measured: {self.model}, {self.machine}, {self.cores} cores, {self.threads} thread of "
            "each engine, "
            f"{self.tokens} tokens a text, three texts a client; the median of {self.repeats}, "
            f"{self.date}:",
            "",
            "| engines | clients | tokens/s | first token, p95 | a step's message, p50 and p95 "
            "| a token of it, p50 |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for one in self.served:
            way, hop = "", ""
            if one.hop_p50 is not None:
                way = f"{one.message_p50:.1f} ms, {one.message_p95:.1f} ms"
                hop = f"{one.hop_p50:.2f} ms"
            lines.append(
                f"| {one.where} | {one.clients} | {one.tokens_per_second:,.0f} "
                f"| {one.first_p95:.2f} s | {way} | {hop} |"
            )
        texts, first = self.experiments[0].texts, self.experiments[0].seconds
        lines += [
            "",
            self._goals(),
            "",
            f"One experiment of {texts} texts, measured:",
            "",
            "| engines | together | of the first one's time |",
            "|---|---:|---:|",
            *(
                f"| {_where(one.engines)} | {one.seconds:.1f} s | {one.seconds / first:.2f} |"
                for one in self.experiments
            ),
            "",
            estimated(self.step, self.costs, self.clients, self.tokens),
            "",
            "Simulated by discrete events, with these times of a step:",
            "",
        ]
        return "\n".join([*lines, *(f"- {one}" for one in self.simulated)])

    def _goals(self) -> str:
        full = [one for one in self.served if one.clients == self.clients and one.hop_p50]
        hop = full[0].hop_p50 or 0.0
        kept = "Both goals are kept" if hop < HOP_MS and self.lost < LOST else "That is missed"
        told = (
            f"The goal at {self.clients} clients is under {HOP_MS:g} ms a token and under "
            f"{LOST:.0%} of the throughput lost. {kept}: {hop:.2f} ms, and {self.lost:.0%} lost "
            f"by {full[0].where}."
        )
        most = max(one.engines for one in self.served)
        if most * self.threads < self.cores:
            return told
        return (
            f"{told} {most} replicas have {most * self.threads} threads, and the front end and Ray "
            f"theirs, on {self.cores} cores: more replicas than those cannot be faster here."
        )


def measure(
    model: str | None,
    tokens: int,
    clients: Sequence[int],
    replicas: Sequence[int] = (1, 2, 4),
    threads: int = 1,
    repeats: int = 3,
) -> Report:
    """The engine of this process and so many replicas with the same crowds."""
    settings = Settings(threads=threads, device="cpu", max_client_runs=64)
    settings = settings if model is None else settings.changed(model=model)
    served: list[Served] = []
    experiments: list[Experimented] = []

    def all_of(engines: int, service: Service) -> None:
        backend = service.backend()
        served.extend(_crowds(engines, backend, count, tokens, repeats) for count in clients)
        experiments.append(_experimented(engines, service, tokens))

    with _serving(settings) as service:
        title = service.backend().facts.title
        step, size = _times(service.backend())
        all_of(0, service)
    for count in sorted(replicas):
        with _serving(settings.changed(cluster=f"local:{count}")) as service:
            _settle(service.backend(), count)
            all_of(count, service)
            if count == min(replicas):
                costs = _costs(service.backend(), size, max(clients), tokens)
    return Report(
        title,
        machine(torch.device("cpu")),
        os.cpu_count() or 1,
        datetime.date.today().isoformat(),
        threads,
        tokens,
        repeats,
        served,
        experiments,
        step,
        costs,
        [simulate(REPLICAS, Crowd(CLIENTS, pause=pause), step) for pause in PAUSES],
    )


def _where(engines: int) -> str:
    if not engines:
        return "in the process"
    return "1 replica" if engines == 1 else f"{engines} replicas"


@contextmanager
def _serving(settings: Settings) -> Iterator[Service]:
    service = Service(settings)
    service.prepare()
    look_less()  # as app.py does
    try:
        _warm(service)
        yield service
    finally:
        service.close()
        gc.collect()  # the keys and values of an engine, beside which Ray could not fork


def _warm(service: Service) -> None:
    _all([_request(0, 4)], service.backend())
    for engine in service.engines.values():
        engine.join_tracing()


def _settle(backend: Any, count: int) -> None:
    """Wait until so many replicas are up, each as fast as it will be."""
    end = time.monotonic() + COME_UP_S
    while sum(load.alive for load in backend.replicas.loads()) < count:
        if time.monotonic() > end:
            raise RuntimeError(f"{count} replicas did not come up within {COME_UP_S:.0f} s.")
        time.sleep(0.5)
    for load in backend.replicas.loads():
        backend.loop.run(backend.replicas.call("settle", at=load.replica))
    _all([_request(number, 4) for number in range(8 * count)], backend)  # with rows at all of them


def _request(number: int, tokens: int) -> Request:
    return Request(
        prompt=f"{PROMPTS[number % len(PROMPTS)]} {number}",
        recipes=[Recipe.parse(recipe) for recipe in RECIPES],
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        seed=number,
    )


def _all(requests: Sequence[Request], backend: Backend) -> list[Run]:
    runs = [run for request in requests for run in backend.submit_all([request])]
    for run in runs:
        run.join()
        if run.error is not None:
            raise RuntimeError(run.error)
    return runs


def _crowds(engines: int, backend: Backend, clients: int, tokens: int, repeats: int) -> Served:
    """The median by throughput of some crowds, one after the other; each has its own prompts."""
    found = [
        _crowd(engines, backend, range(first, first + clients), tokens)
        for first in range(FIRST_CROWD, FIRST_CROWD + repeats * clients, clients)
    ]
    return sorted(found, key=lambda one: one.seconds)[repeats // 2]


def _crowd(engines: int, backend: Backend, numbers: range, tokens: int) -> Served:
    following: Any = getattr(backend, "following", None)
    if following is not None:
        following.hops = []
    clients, clock = len(numbers), time.perf_counter()
    runs = _all([_request(number, tokens) for number in numbers], backend)
    seconds = time.perf_counter() - clock
    firsts = sorted(run.first_token or 0.0 for run in runs)
    hops = list(following.hops) if following is not None else []
    ways = [1e3 * hop.seconds for hop in hops for _ in range(hop.tokens)]
    each = [1e3 * hop.seconds / hop.tokens for hop in hops for _ in range(hop.tokens)]
    return Served(
        engines,
        clients,
        seconds,
        clients * len(RECIPES) * tokens / seconds,
        _share(firsts, 0.95),
        _share(ways, 0.5) if ways else None,
        _share(ways, 0.95) if ways else None,
        _share(each, 0.5) if each else None,
    )


def _share(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _experimented(engines: int, service: Service, tokens: int) -> Experimented:
    """An experiment on one engine, or on all replicas."""
    experiment = Experiment.of(
        {
            "prompts": [f"{prompt} Again." for prompt in PROMPTS],
            "recipes": ["temperature(0.8) | sample", "top_p(0.9) | sample"],
            "seeds": EXPERIMENT_SEEDS,
            "max_new_tokens": tokens,
            "min_new_tokens": tokens,
            "metrics": ["length"],
        }
    )
    with Store(None) as store:
        runner = Runner(experiment, service.experiment_engine(), store)
        clock = time.perf_counter()
        texts = sum(1 for _ in runner.run())
        return Experimented(engines, texts, time.perf_counter() - clock)


def _times(backend: Backend) -> tuple[Step, float]:
    """How long steps of several numbers of rows take, and the bytes of a record."""
    rows, seconds = [], []
    numbers = range(FIRST_TIMED, FIRST_TIMED + max(ROWS) // len(RECIPES))
    prompts = _all([_request(number, 1) for number in numbers], backend)
    prefill = statistics.median([run.prefills[0] for run in prompts])
    size = 0.0
    for count in ROWS:  # whose prompts are cached, so that all rows are in every step
        runs = _all(
            [_request(number, STEPS) for number in numbers[: count // len(RECIPES)]], backend
        )
        steps = runs[-1].comparison().lanes[0].trace.path()
        gaps = [after.at - before.at for before, after in pairwise(steps[1:])]
        rows.append(count)
        seconds.append(statistics.median(gaps))
        size = len(pickle.dumps(NewsFeed(runs[0]).news())) / (STEPS * len(RECIPES))
    return fitted(rows, seconds, prefill), size


def _costs(backend: Any, record_bytes: float, clients: int, tokens: int) -> Costs:
    """What this process does for a token, and for a call to a replica."""

    def spent(work: Callable[[], object], times: int) -> float:
        clock = time.process_time()
        work()
        return 1e3 * (time.process_time() - clock) / times

    async def call() -> None:
        name = backend.replicas.loads()[0].replica
        for _ in range(CALLS):
            await backend.replicas.call("load", at=name)

    requests = [_request(FIRST_COUNTED + number, tokens) for number in range(clients)]
    return Costs(
        record_bytes,
        spent(lambda: _all(requests, backend), clients * len(RECIPES) * tokens),
        spent(lambda: backend.loop.run(call()), CALLS),
    )
