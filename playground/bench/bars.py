"""The playground's own goals, each with what was measured and with the limit of this machine.

The limits are measured as well: the matrix products of a forward alone, for many rows, or reading
its weights once, for few. A goal beyond its limit cannot be reached on this machine; what was
measured is then reported as a share of the limit.
"""

from __future__ import annotations

import multiprocessing
import statistics
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import psutil

from playground.bench import load, six
from playground.bench.conditions import Conditions
from playground.bench.products import products_ms
from playground.bench.program import started

CROWD = 60  # lanes beside whose forward everything else is measured
CLASS, HALL = 30, 100  # clients
PARTS = ("engine", "clients", "program", "page")
RECIPE = "temperature(0.8) | sample"


@dataclass(frozen=True)
class Bar:
    """``found`` is to be at least ``goal``, or at most; ``limit`` is what the machine allows."""

    what: str
    goal: float
    found: float
    unit: str = ""
    least: bool = False  # whether the goal is the least that is wanted, and not the most
    limit: float | None = None
    limit_is: str = ""

    @property
    def reached(self) -> bool:
        return self.found >= self.goal if self.least else self.found <= self.goal

    @property
    def share(self) -> float | None:
        """The share of the limit that was reached, 1 at most."""
        if self.limit is None or not self.found or not self.limit:
            return None
        return self.found / self.limit if self.least else self.limit / self.found

    @property
    def forbidden(self) -> bool:
        """Whether not even the limit reaches the goal."""
        if self.limit is None:
            return False
        return self.limit < self.goal if self.least else self.limit > self.goal

    def __str__(self) -> str:
        kept = "yes" if self.reached else "**no**"
        if self.forbidden and not self.reached:
            kept = "not on this machine"
        limit = ""
        if self.limit is not None and self.share is not None:
            limit = f"{self._written(self.limit)}: {self.limit_is}; {self.share:.0%} of it"
        sign = "at least" if self.least else "at most"
        return (
            f"| {self.what} | {sign} {self._written(self.goal)} | {self._written(self.found)} | "
            f"{kept} | {limit} |"
        )

    def _written(self, value: float) -> str:
        if self.unit == "%":
            return f"{value:.0%}"
        return f"{value:.{0 if value >= 100 else 1}f}{' ' if self.unit else ''}{self.unit}"


@dataclass(frozen=True)
class Report(Conditions):
    """The bars, in the order in which they were measured; ``absent`` says what was not, and why."""

    bars: list[Bar] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n".join(
            (
                f"{self.conditions}:",
                "",
                "| what | goal | measured | reached | what this machine allows |",
                "|---|---:|---:|---|---|",
                *map(str, self.bars),
                *(f"\nNot measured: {part}, {why}." for part, why in self.absent.items()),
            )
        )


def measure(model: str | None, tokens: int, repeats: int, parts: Sequence[str] = PARTS) -> Report:
    """Measure the bars of these ``parts``. The last needs playwright and a Chromium."""
    from playground import Playground
    from playground.cycles import look_less

    own = Playground(model, rows=CROWD + 36)
    own.engine.join_tracing()
    look_less()  # as the program does
    report = Report(**Conditions.of(own))
    each: dict[str, Callable[[], Iterable[Bar]]] = {
        "engine": lambda: _engine(own, model, tokens, repeats),
        "clients": lambda: _clients(model, tokens, products_ms(own.engine, 90)),
        "program": lambda: _program(model),
        "page": lambda: _page(repeats),
    }
    for part in parts:
        try:
            for bar in each[part]():
                report.bars.append(bar)  # what is measured is told, whatever fails after it
        except ImportError as error:
            report.absent[part] = f"{error.name} is not installed"
        except Exception as error:
            traceback.print_exc()
            report.absent[part] = f"{type(error).__name__}: {error}"
    return report


def _engine(own: Any, model: str | None, tokens: int, repeats: int) -> Iterator[Bar]:
    of_rows = {rows: products_ms(own.engine, rows) for rows in (9, six.MANY)}
    lone_ms = products_ms(own.engine, own.engine.forward.row_counts.lone)
    beside = _beside_forward(own, tokens)
    found = six.compare(model, tokens, repeats)
    read_ms = found.weights_bytes / found.bandwidth * 1e3
    yield Bar(
        "six recipes, recorded, against six `generate` calls", 12, found.ratio, "times", True,
        limit=found.generate_s / (tokens * of_rows[9] / 1e3),
        limit_is="steps of their products alone",
    )  # fmt: skip
    yield Bar(
        f"a step of 9 rows, in times of reading the weights once ({read_ms:.1f} ms)",
        2.5, found.step_ms / read_ms, "times",
        limit=of_rows[9] / read_ms, limit_is="its products alone",
    )  # fmt: skip
    yield Bar(
        f"a step of {six.MANY} lanes, in times of one lane's", 1.4,
        found.many_lanes_ms / found.one_lane_ms, "times",
        limit=of_rows[six.MANY] / lone_ms, limit_is="the products alone of both",
    )  # fmt: skip
    yield Bar(f"everything beside the forward, of a step of {CROWD} lanes", 0.15, beside, "%")


def _beside_forward(own: Any, tokens: int) -> float:
    """The share of a step of ``CROWD`` lanes that is not the forward, by the clock."""

    def ran() -> Any:
        return own.compare(
            six.PROMPT, [RECIPE] * CROWD, max_new_tokens=tokens, min_new_tokens=tokens, seed=7
        )

    ran()
    steps = ran().lanes[0].trace.steps
    walls = [b.at - a.at for a, b in pairwise(steps[1:])]
    forwards = [step.times.forward for step in steps[2:]]
    return 1.0 - statistics.median(forwards) / statistics.median(walls)


def _clients(model: str | None, tokens: int, wide_ms: float) -> Iterator[Bar]:
    grown, hall = load.measure(model, tokens, [CLASS, HALL])
    rows = grown.clients * grown.lanes
    one_by_one = grown.serial_s / (grown.clients * tokens)  # seconds of a step of one client
    yield Bar(
        f"{CLASS} clients over HTTP, throughput against one by one", 5, grown.throughput_ratio,
        "times", True, limit=one_by_one * grown.clients / (wide_ms / 1e3) * 90 / rows,
        limit_is="the products alone of all their rows",
    )  # fmt: skip
    yield Bar(f"the last first token of {HALL} clients", 15, hall.first_most, "s")
    same = hall.same_texts / max(1, hall.serial_measured)
    yield Bar(f"texts of {HALL} clients that are the same alone", 1, same, "%", True)


def _program(model: str | None) -> Iterator[Bar]:
    settings = {} if model is None else {"model": model, "models": model}
    for _ in range(2):  # the first start may fetch, and find out what this machine's kernels do
        with started(**settings) as program:
            page_s = program.page_s
    yield Bar("the page is up at a second start", 5, page_s, "s")
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    process = spawn.Process(target=_loaded, args=(model, results), daemon=True)
    process.start()
    grown, weights = results.get(timeout=300)
    process.join()
    yield Bar(
        f"memory that loading takes, in times of the weights ({weights / 1e6:.0f} MB)",
        2, grown / weights, "times",
    )  # fmt: skip


def _loaded(model: str | None, results: Any) -> None:
    """Put the bytes by which a process grows as it loads and checks a model, and its weights'."""
    from playground import Playground

    import torch  # isort: skip
    import transformers  # noqa: F401

    torch.ones(64, 64) @ torch.ones(64, 64)
    process = psutil.Process()
    before = process.memory_info().rss
    own = Playground(model)
    own.engine.join_tracing()
    weights = sum(weight.nbytes for weight in own.model.parameters())
    results.put((process.memory_info().rss - before, weights))


def _page(repeats: int) -> Iterator[Bar]:
    from playground.bench import clicks

    found = clicks.measure(512, repeats)
    slowest = max(found.tabs, key=lambda tab: tab.token.median)
    yield Bar(
        f"a click on a token, {found.lanes} columns of {found.tokens} tokens ({slowest.name})",
        clicks.PROMISED_MS, slowest.token.median, "ms",
    )  # fmt: skip
