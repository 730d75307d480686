"""All texts of a column: their figures, the means of these, and their tokens at one position."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from playground.metrics import measure_path
from playground.trace import FinishReason, LaneResult, Metrics, Trace

CONFIDENCE = 0.95


@dataclass(frozen=True)
class SampleText:
    """One text. ``output`` is its number in the trace, ``sample`` that of its noise, from 0.

    ``found`` is what the recipe measures in it, such as what the texts are ranked by.
    """

    output: int
    sample: int
    text: str
    reason: FinishReason | None
    metrics: Metrics
    logprob: float
    found: dict[str, float]


@dataclass(frozen=True)
class Mean:
    """The mean of a figure over texts; ``within`` is half of its 95 % interval, by Student's t.

    Each is None where too few texts have the figure.
    """

    name: str
    mean: float | None
    within: float | None
    count: int


@dataclass(frozen=True)
class TokenShare:
    """A token that ``count`` texts have at one position; None stands for texts that had ended."""

    token: int | None
    text: str
    count: int
    share: float


FIGURES: dict[str, Callable[[SampleText], float | None]] = {
    "tokens": lambda one: float(one.metrics.tokens),
    "log-probability per token": lambda one: (
        one.logprob / one.metrics.tokens if one.metrics.tokens else None
    ),
    "perplexity": lambda one: one.metrics.perplexity,
    "entropy": lambda one: one.metrics.mean_entropy,
    "distinct-2": lambda one: one.metrics.distinct_2,
    "4-gram repeats": lambda one: one.metrics.repeated_4,
}


def texts(lane: LaneResult) -> list[SampleText]:
    """Every text of a lane, the one that a person is shown first."""
    found = []
    for number, output in enumerate(lane.trace.outputs):
        path = lane.trace.path(number)
        found.append(
            SampleText(
                number,
                output.sample,
                output.text,
                output.finish_reason,
                measure_path(path),
                math.fsum(step.raw_logprob for step in path),
                dict(output.found),
            )
        )
    return found


def means(some: Sequence[SampleText]) -> list[Mean]:
    """The mean of each figure over these texts."""
    return [mean(name, [read(one) for one in some]) for name, read in FIGURES.items()]


def mean(name: str, values: Sequence[float | None]) -> Mean:
    known = [value for value in values if value is not None and math.isfinite(value)]
    count = len(known)
    if not count:
        return Mean(name, None, None, 0)
    middle = math.fsum(known) / count
    if count < 2:
        return Mean(name, middle, None, count)
    spread = math.sqrt(math.fsum((value - middle) ** 2 for value in known) / (count - 1))
    from scipy import stats  # takes a second, which a page need not wait for

    reach = float(stats.t.ppf(0.5 + CONFIDENCE / 2, count - 1))
    return Mean(name, middle, reach * spread / math.sqrt(count), count)


def at_position(trace: Trace, position: int) -> list[TokenShare]:
    """Which tokens the texts have at this position, from 0, the most frequent first.

    Of equally many the first drawn comes first; texts that had ended are counted last.
    """
    counts: Counter[int] = Counter()
    pieces: dict[int, str] = {}
    ended = 0
    for output in sorted(trace.outputs, key=lambda one: one.sample):
        if position >= len(output.nodes):
            ended += 1
            continue
        step = trace.steps[output.nodes[position]]
        counts[step.token] += 1
        known = step.candidates.ids
        inside = step.token in known
        pieces[step.token] = step.candidates.texts[known.index(step.token)] if inside else step.text
    total = max(1, len(trace.outputs))
    shares = [
        TokenShare(token, pieces[token], count, count / total)
        for token, count in counts.most_common()
    ]
    return shares + ([TokenShare(None, "", ended, ended / total)] if ended else [])
