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
from itertools import pairwise
from typing import Any

import torch

from playground.backends import Backend
from playground.bench.cluster_report import Experimented, Report, Served
from playground.bench.conditions import machine
from playground.bench.estimate import Costs
from playground.bench.load import PROMPTS, RECIPES
from playground.bench.simulation import Crowd, Step, fitted, simulate
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
REPLICAS, CLIENTS = 100, 10_000
PAUSES = (60.0, 20.0)  # of a simulated client between two runs


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
