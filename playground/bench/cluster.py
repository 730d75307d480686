"""Replicas over Ray Serve against the engine of this process, with as many threads each.

All replicas are on this machine: what is measured is the cost of the way to them, not the speed of
more machines. That is estimated from it, and reported separately.
"""

from __future__ import annotations

import gc
import pickle
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from playground.backends import Backend
from playground.bench.load import PROMPTS, RECIPES
from playground.bench.simulation import Crowd, Outcome, Step, fitted, simulate
from playground.cycles import look_less
from playground.engine import Request, Run
from playground.engine.telling import NewsFeed
from playground.experiment.experiment import Experiment
from playground.experiment.runner import Runner
from playground.experiment.store import Store
from playground.service import Service
from playground.settings import Settings
from strategies import Recipe

ROWS = (3, 12, 30, 60, 90)  # of the steps that the simulation's times are taken from
STEPS = 8
EXPERIMENT_PROMPTS, EXPERIMENT_SEEDS = 6, 5  # with two recipes
THOUSANDS = Crowd(clients=10_000)
REPLICAS = 100


@dataclass(frozen=True)
class Served:
    """``clients`` at once, each with three recipes. Times are in seconds.

    ``hop_p50`` and ``hop_p95`` are a token's way from a replica, in milliseconds.
    """

    where: str
    clients: int
    seconds: float
    tokens_per_second: float
    first_p50: float
    first_p95: float
    hop_p50: float | None
    hop_p95: float | None


@dataclass(frozen=True)
class Experimented:
    """The same experiment of so many ``texts``; seconds."""

    where: str
    texts: int
    seconds: float


@dataclass(frozen=True)
class Report:
    """What was measured, and what is estimated from it."""

    model: str
    threads: int
    tokens: int
    served: list[Served]
    experiments: list[Experimented]
    step: Step
    record_bytes: float  # of one token's record in a message
    simulated: list[Outcome]

    def __str__(self) -> str:
        lines = [
            f"Measured on this machine, {self.model}, {self.threads} thread(s) an engine, "
            f"{self.tokens} tokens a text, three texts a client:",
            "",
            "| engines | clients | together | tokens/s | first token, p50, p95 | hop, p50, p95 |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for one in self.served:
            hop = "—" if one.hop_p50 is None else f"{one.hop_p50:.1f} ms, {one.hop_p95:.1f} ms"
            lines.append(
                f"| {one.where} | {one.clients} | {one.seconds:.1f} s "
                f"| {one.tokens_per_second:,.0f} | {one.first_p50:.1f} s, {one.first_p95:.1f} s "
                f"| {hop} |"
            )
        lines += [
            "",
            f"One experiment, {self.tokens} tokens a text:",
            "",
            "| engines | texts | together | of the first one's time |",
            "|---|---:|---:|---:|",
        ]
        first = self.experiments[0].seconds
        lines += [
            f"| {one.where} | {one.texts} | {one.seconds:.1f} s | {one.seconds / first:.2f} |"
            for one in self.experiments
        ]
        per_row, base = self.step.per_row * 1e3, self.step.base * 1e3
        speed = 90 / self.step.seconds(90)
        lines += [
            "",
            f"A step takes {base:.0f} ms and {per_row:.2f} ms for each row; a token's record is "
            f"{self.record_bytes / 1e3:.1f} kB in a message.",
            "",
            "Estimated from these figures, for machines with one such engine each:",
            "",
            "| machines | tokens/s, 90 rows each | records | polls of one front end |",
            "|---:|---:|---:|---:|",
        ]
        for machines in (10, 100):
            rate = machines * speed
            polls = machines / self.step.seconds(90)
            lines.append(
                f"| {machines} | {rate:,.0f} | {rate * self.record_bytes / 1e6:.1f} MB/s "
                f"| {polls:,.0f}/s |"
            )
        lines += ["", "Simulated by discrete events, with these times of a step:", ""]
        return "\n".join([*lines, *(f"- {one}" for one in self.simulated)])


def measure(
    model: str | None,
    tokens: int,
    clients: Sequence[int],
    replicas: Sequence[int] = (1, 2, 4),
    threads: int = 1,
) -> Report:
    """The embedded engine and so many replicas with the same crowds, one after the other."""
    settings = Settings(threads=threads, device="cpu", max_client_runs=64)
    settings = settings if model is None else settings.changed(model=model)
    served: list[Served] = []
    experiments: list[Experimented] = []
    with _serving(settings) as service:
        title = service.backend().facts.title
        step, size = _times(service.backend())
        served += [_crowd("embedded", service.backend(), count, tokens) for count in clients]
        experiments.append(_experimented("embedded", service, tokens))
    for count in replicas:
        with _serving(settings.changed(cluster=f"local:{count}")) as service:
            where = "1 replica" if count == 1 else f"{count} replicas"
            served += [_crowd(where, service.backend(), crowd, tokens) for crowd in clients]
            experiments.append(_experimented(where, service, tokens))
    simulated = [
        simulate(REPLICAS, THOUSANDS, step),
        simulate(REPLICAS, Crowd(THOUSANDS.clients, pause=600.0), step),
    ]
    return Report(title, threads, tokens, served, experiments, step, size, simulated)


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


def _crowd(where: str, backend: Backend, clients: int, tokens: int) -> Served:
    following: Any = getattr(backend, "following", None)
    if following is not None:
        following.hops = []
    clock = time.perf_counter()
    runs = _all([_request(number, tokens) for number in range(clients)], backend)
    seconds = time.perf_counter() - clock
    firsts = sorted(run.first_token or 0.0 for run in runs)
    hops = sorted(following.hops) if following is not None else []
    return Served(
        where,
        clients,
        seconds,
        clients * len(RECIPES) * tokens / seconds,
        statistics.median(firsts),
        firsts[min(len(firsts) - 1, int(0.95 * len(firsts)))],
        1e3 * statistics.median(hops) if hops else None,
        1e3 * hops[int(0.95 * len(hops))] if hops else None,
    )


def _experimented(where: str, service: Service, tokens: int) -> Experimented:
    """An experiment on one engine, or on all replicas."""
    experiment = Experiment.of(
        {
            "prompts": [f"{prompt} Again." for prompt in PROMPTS[:EXPERIMENT_PROMPTS]],
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
        return Experimented(where, texts, time.perf_counter() - clock)


def _times(backend: Backend) -> tuple[Step, float]:
    """How long steps of several numbers of rows take, and the bytes of a record."""
    rows, seconds = [], []
    size = prefill = 0.0
    for count in ROWS:
        requests = [_request(number, STEPS) for number in range(count // len(RECIPES))]
        runs = _all(requests, backend)
        steps = runs[-1].comparison().lanes[0].trace.path()
        gaps = [after.at - before.at for before, after in pairwise(steps[1:])]
        rows.append(count)
        seconds.append(statistics.median(gaps))
        prefill = statistics.median([run.prefills[0] for run in runs])
        size = len(pickle.dumps(NewsFeed(runs[0]).news())) / (STEPS * len(RECIPES))
    return fitted(rows, seconds, prefill), size
