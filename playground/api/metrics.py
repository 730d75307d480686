"""The server's metrics for Prometheus: counts of events, and gauges of the backends' load.

The metrics of a text, such as its perplexity, are in ``playground.metrics``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from playground.backends import Load
from playground.engine import Busy, FieldError, Observer, Request, Run
from playground.engine.request import ScoreRequest
from playground.service import Service

_STEP_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_RESUME_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 30, 60)
_FIRST_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120)


class ServerMetrics(Observer):
    """The counters of one application, in a registry of its own. Any thread may call it."""

    def __init__(self, service: Service) -> None:
        self.registry = registry = CollectorRegistry(auto_describe=True)
        self._runs_started = Counter(
            "playground_runs_started", "Runs that left the queue.", registry=registry
        )
        self._runs_ended = Counter(
            "playground_runs_ended",
            "Runs that are over: done, or ended by deadline, cancelled or error.",
            ["reason"],
            registry=registry,
        )
        self._lanes_ended = Counter(
            "playground_lanes_ended",
            "Recipes' texts that are over, by what ended them.",
            ["reason"],
            registry=registry,
        )
        self._tokens = Counter(
            "playground_tokens",
            "Tokens chosen by runs that are over, those of beams left behind included.",
            registry=registry,
        )
        self._prompt_tokens = Counter(
            "playground_prompt_tokens", "Tokens of the prompts of started runs.", registry=registry
        )
        self._step_seconds = Histogram(
            "playground_decode_step_seconds",
            "One token of every row at work, records included.",
            buckets=_STEP_S,
            registry=registry,
        )
        self._first_token_seconds = Histogram(
            "playground_time_to_first_token_seconds",
            "From a run's submission to its first token; of runs that are over.",
            buckets=_FIRST_S,
            registry=registry,
        )
        self._resume_seconds = Histogram(
            "playground_resume_seconds",
            "From the known loss of a replica to the next token of a text it wrote, by another.",
            buckets=_RESUME_S,
            registry=registry,
        )
        self._refusals = Counter(
            "playground_refusals",
            "Requests that were not run: busy (the queue or a share is full), rate, or invalid.",
            ["kind"],
            registry=registry,
        )
        self._errors = Counter(
            "playground_errors",
            "Failures: of a run, of one lane of a run, of a model to load, of the server.",
            ["kind"],
            registry=registry,
        )
        for kind in ("busy", "rate", "invalid"):
            self._refusals.labels(kind)  # creates it at 0, so that it is exported from the start
        for kind in ("run", "lane", "model", "server"):
            self._errors.labels(kind)
        registry.register(LoadGauges(service))
        ProcessCollector(registry=registry)
        service.observers.all.append(self)
        for limits in (service.rate_limits, service.page_loads):
            limits.refused = lambda: self.refuse("rate")

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def refuse(self, kind: str) -> None:
        self._refusals.labels(kind).inc()

    def fail(self, kind: str) -> None:
        self._errors.labels(kind).inc()

    def refused(self, request: Request | ScoreRequest, error: FieldError | Busy) -> None:
        self.refuse("busy" if isinstance(error, Busy) else "invalid")

    def started(self, run: Run) -> None:
        self._runs_started.inc()
        self._prompt_tokens.inc(len(run.prompt_tokens))

    def stepped(self, tokens: int, seconds: float) -> None:
        self._step_seconds.observe(seconds)

    def resumed(self, run: Run, seconds: float) -> None:
        self._resume_seconds.observe(seconds)

    def ended(self, run: Run) -> None:
        for lane in run.views:
            self._lanes_ended.labels(lane.finish_reason or "error").inc()
            self._tokens.inc(len(lane.steps))
            if lane.finish_reason == "error" and run.error is None:
                self.fail("lane")
        if run.error is not None:
            self.fail("run")
        self._runs_ended.labels(run.outcome).inc()
        if (first := run.first_token) is not None:
            self._first_token_seconds.observe(first)


class LoadGauges(Collector):
    """The gauges of every model, or of each of its replicas, read at each scrape."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        found = {id: backend.health() for id, backend in self.service.backends.all.items()}
        for name, meaning, value in _GAUGES:
            family = GaugeMetricFamily(f"playground_{name}", meaning)
            for id, health in found.items():
                for load in health.loads:
                    labels = {"model": id} | ({"replica": load.replica} if load.replica else {})
                    family.add_sample(family.name, labels, float(value(load)))
            yield family


_GAUGES: tuple[tuple[str, str, Callable[[Load], float]], ...] = (
    ("up", "1 while the decode loop is alive.", lambda load: load.alive),
    ("queue_length", "Runs in the queue.", lambda load: load.waiting),
    ("runs_at_work", "Runs whose rows are in the batch.", lambda load: load.running),
    ("rows_in_use", "Rows of the batch that belong to runs.", lambda load: load.rows_in_use),
    ("rows", "Rows the batch has.", lambda load: load.rows),
    ("key_value_bytes", "Keys and values of the rows in use.", lambda load: load.key_value_bytes),
    ("prompt_bytes", "Prompts kept so as not to be read again.", lambda load: load.prompt_bytes),
    ("model_bytes", "The model's weights.", lambda load: load.model_bytes),
    (
        "device_bytes",
        "Memory taken on a GPU by the process that serves it; 0 without one.",
        lambda load: load.device_bytes,
    ),
)
