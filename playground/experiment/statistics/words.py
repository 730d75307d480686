"""A difference as a sentence, which claims no more than the statistics show."""

from __future__ import annotations

import math

from playground.experiment.metric import Metric
from playground.experiment.statistics.interval import Interval
from playground.experiment.statistics.pairs import MOST_FURTHER, Difference

_LOPSIDED = 0.15  # of the wider side: beyond that, an interval is no ±


def sentence(difference: Difference, metric: Metric, first: str, second: str, seeds: int) -> str:
    """As "top_p 0.9 repeats less than greedy by 21 ± 4 points (40 prompts × 8 seeds)"."""
    found, info = difference.interval, metric.info
    of = f"({_count(found.prompts, 'prompt')} × {_count(seeds, 'seed')})"
    if difference.settled:
        words = info.more if found.mean > 0 else info.less
        return f"{first} {words} than {second} by {_by(found, metric)} {of}"
    if found.low == found.high == 0:
        return f"{info.title}: no difference at all between {first} and {second} {of}"
    if difference.further is not None:
        more = "prompt" if difference.further == 1 else "prompts"
        then = f"about {difference.further:,} more {more} would do"
    elif found.low is not None and found.high is not None:
        most = max(abs(found.low), abs(found.high))
        then = (
            f"if there is one, it is most likely below {size(most, metric)}, and more than "
            f"{MOST_FURTHER:,} further prompts would be needed to tell"
        )
    else:
        then = "there are too few prompts"
    return f"{info.title}: no difference between {first} and {second} can be told yet; {then} {of}"


def size(difference: float, metric: Metric) -> str:
    """The size of a difference: "21 points", or "a factor of 1.4" where factors are compared."""
    if metric.info.ratio:
        return f"a factor of {number(math.exp(abs(difference)))}"
    return f"{number(abs(difference) * metric.info.factor)} {metric.info.unit}".rstrip()


def _by(found: Interval, metric: Metric) -> str:
    assert found.low is not None and found.high is not None
    least, most = sorted((abs(found.low), abs(found.high)))
    mean = abs(found.mean)
    info = metric.info
    if info.ratio:
        least, most, mean = math.exp(least), math.exp(most), math.exp(mean)
        return f"a factor of {number(mean)}, {number(least)} to {number(most)}"
    least, most, mean = (one * info.factor for one in (least, most, mean))
    unit = f" {info.unit}" if info.unit else ""
    short = even(mean, least, most)
    return f"{short}{unit}" if short else f"{number(mean)}{unit}, {number(least)} to {number(most)}"


def even(mean: float, low: float, high: float) -> str | None:
    """As "21 ± 4"; None where one side of the interval is much wider than the other."""
    below, above = mean - low, high - mean
    if abs(above - below) > _LOPSIDED * max(above, below):
        return None
    half = (high - low) / 2
    digits = _digits(half)
    return f"{mean:,.{digits}f} ± {half:,.{digits}f}"


def number(value: float) -> str:
    """``value`` with about three significant digits."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "n/a"
    if value == 0:
        return "0"
    magnitude = abs(value)
    digits = 0 if magnitude >= 100 else 1 if magnitude >= 10 else 2 if magnitude >= 1 else 3
    return f"{value:,.{digits}f}"


def _digits(half: float) -> int:
    """Decimals at which a half-width has two digits, at most three."""
    if half <= 0:
        return 1
    return min(3, max(0, 1 - math.floor(math.log10(half)))) if half < 10 else 0


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
