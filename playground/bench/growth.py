"""How the cost of a step grows: with rows, prompts, texts, columns, candidates and clients.

Each is varied by itself. A step's time is by the clock, from one token to the next of all lanes;
the forward's is as it was recorded, and what is left goes to processors, searches and records.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

from playground.bench.conditions import Conditions
from playground.bench.load import PROMPTS, RECIPES
from playground.bench.six import PROMPT

ROWS = (1, 2, 4, 8, 16, 32, 64)  # of which a column has no more at once
PROMPT_TOKENS = (64, 256, 1024, 4096)
NEW_TOKENS = (64, 256, 1024)
COLUMNS = (1, 2, 6, 12, 24)
CANDIDATES = (1, 5, 20, 50, 200)
CLIENTS = (1, 8, 30, 100)
SAMPLE = "temperature(0.8) | top_p(0.95) | sample"
_STEPS = 12  # of a measurement
_BEFORE = 12  # steps before a position whose median is reported
CURVES = {  # by name, what is varied
    "rows": "rows of one column",
    "prompt": "tokens of a prompt of 6 columns",
    "text": "new tokens of 6 columns",
    "columns": "columns",
    "candidates": "candidates recorded of 6 columns",
    "clients": "clients of 3 columns",
}


@dataclass(frozen=True)
class Point:
    """Milliseconds of a step and of its forward, where what is varied is ``at``.

    ``once_ms`` is spent once, before the first token.
    """

    at: int
    step_ms: float
    forward_ms: float
    once_ms: float | None = None

    @property
    def beside_ms(self) -> float:
        return max(0.0, self.step_ms - self.forward_ms)


@dataclass(frozen=True)
class Curve:
    """The time of a step as one quantity grows."""

    what: str
    points: list[Point]

    @property
    def power(self) -> float:
        """The exponent with which a step's time grows, from the first point to the last.

        0 is not at all, 1 in proportion.
        """
        first, last = self.points[0], self.points[-1]
        if len(self.points) < 2 or first.at == last.at:
            return 0.0
        return math.log(last.step_ms / first.step_ms) / math.log(last.at / first.at)

    def lines(self) -> Iterator[str]:
        for number, point in enumerate(self.points):
            what = f"{self.what}, as the power {self.power:.2f}" if not number else ""
            once = "" if point.once_ms is None else f"{point.once_ms:,.0f}"
            yield (
                f"| {what} | {point.at:,} | {point.step_ms:.1f} | {point.forward_ms:.1f} | "
                f"{point.beside_ms:.1f} | {once} |"
            )


@dataclass(frozen=True)
class Report(Conditions):
    """The curves, in milliseconds."""

    curves: list[Curve] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(
            (
                f"{self.conditions}:",
                "",
                "| varied | | ms a step | the forward | all else | ms before the first token |",
                "|---|---:|---:|---:|---:|---:|",
                *(line for curve in self.curves for line in curve.lines()),
            )
        )

    def plot(self, file: Path) -> None:
        """One HTML file with a chart of each curve, both axes logarithmic."""
        from plotly.graph_objects import Scatter
        from plotly.subplots import make_subplots

        figure = make_subplots(rows=2, cols=3, subplot_titles=[c.what for c in self.curves])
        for number, curve in enumerate(self.curves):
            cell = {"row": number // 3 + 1, "col": number % 3 + 1}
            at = [point.at for point in curve.points]
            for name, colour, values in (
                ("a step", "#1f77b4", [p.step_ms for p in curve.points]),
                ("its forward", "#7f7f7f", [p.forward_ms for p in curve.points]),
                ("all else", "#d62728", [p.beside_ms for p in curve.points]),
            ):
                figure.add_trace(
                    Scatter(
                        x=at, y=values, name=name, mode="lines+markers",
                        line={"color": colour}, legendgroup=name, showlegend=number == 0,
                    ),
                    **cell,
                )  # fmt: skip
        figure.update_xaxes(type="log")
        figure.update_yaxes(type="log", title_text="ms")
        figure.update_layout(title=self.conditions)
        figure.write_html(file, include_plotlyjs=True)


def measure(model: str | None, only: Sequence[str] = ()) -> Report:
    """Measure every curve, or those whose name is in ``only``."""
    from playground import Playground
    from playground.cycles import look_less

    own = Playground(model, rows=3 * max(CLIENTS))
    own.engine.join_tracing()
    look_less()  # as the program does
    report = Report(**Conditions.of(own))
    _ran(own, [SAMPLE] * 4, 4)
    most = own.engine.context_length
    curves: dict[str, Callable[[], Iterator[Point]]] = {
        "rows": lambda: (_point(n, _ran(own, [f"temperature(0.8) | sample({n})"])) for n in ROWS),
        "prompt": lambda: (
            _point(n, _ran(own, [SAMPLE] * 6, prompt=_prompt(own, n)))
            for n in (min(n, most - _STEPS) for n in PROMPT_TOKENS)
        ),
        "text": lambda: _along(own, [n for n in NEW_TOKENS if n + 32 < most]),
        "columns": lambda: (_point(n, _ran(own, _columns(n))) for n in COLUMNS),
        "candidates": lambda: (_point(n, _ran(own, [SAMPLE] * 6, top_n=n)) for n in CANDIDATES),
        "clients": lambda: (_clients(own, n) for n in CLIENTS),
    }
    for name, points in curves.items():
        if not only or name in only:
            report.curves.append(Curve(CURVES[name], list(points())))
    return report


def _columns(count: int) -> list[str]:
    """Different recipes, as people compare them."""
    return [f"temperature({0.5 + at / 20:.2f}) | top_p(0.95) | sample" for at in range(count)]


def _prompt(own: Any, tokens: int) -> str:
    """A text of so many tokens, or about as many."""
    ids = own.tokenizer(" ".join([PROMPT] * (tokens // 8 + 2))).input_ids[:tokens]
    return str(own.tokenizer.decode(ids))


def _ran(
    own: Any, recipes: Sequence[str], tokens: int = _STEPS, prompt: str = PROMPT, top_n: int = 20
) -> Any:
    own.engine.prompts.clear()
    return own.compare(
        prompt, recipes, max_new_tokens=tokens, min_new_tokens=tokens, seed=7, top_n=top_n
    )


def _point(at: int, comparison: Any, position: int | None = None) -> Point:
    """The median step of a comparison, or of its steps before ``position``."""
    lane = comparison.lanes[0].trace
    steps = lane.path(0)[1:]
    if position is not None:
        steps = steps[max(0, position - _BEFORE) : position]
    walls = [b.at - a.at for a, b in pairwise(steps)]
    forward = statistics.median(step.times.forward for step in steps[1:])
    return Point(
        at,
        statistics.median(walls) * 1e3,
        forward * 1e3,
        None if position is not None else comparison.timings.prefill * 1e3,
    )


def _along(own: Any, positions: Sequence[int]) -> Iterator[Point]:
    """The steps of one long text before each of these positions."""
    comparison = _ran(own, [SAMPLE] * 6, max(positions, default=_STEPS))
    for position in positions:
        yield _point(position, comparison, position - 1)


def _clients(own: Any, count: int) -> Point:
    """Runs submitted at once, each with a prompt and a seed of its own; without HTTP."""
    from playground.engine import Request
    from strategies import Recipe

    own.engine.prompts.clear()
    runs = [
        own.engine.submit(
            Request(
                prompt=f"{PROMPTS[number % len(PROMPTS)]} ({number})",
                recipes=[Recipe.parse(recipe) for recipe in RECIPES],
                max_new_tokens=_STEPS,
                min_new_tokens=_STEPS,
                seed=number,
            )
        )
        for number in range(count)
    ]
    begun = perf_counter()
    while any(run.first_token is None and not run.done for run in runs):
        own.engine.step()
    first = perf_counter() - begun
    own.engine.drive(runs[-1])
    for run in runs:
        own.engine.drive(run)
    last = runs[-1].comparison()
    return replace(_point(count, last), once_ms=first * 1e3)
