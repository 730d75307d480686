"""Every pair of recipes: their paired difference, how sure it is, and how many prompts settle it.

Recipes share prompts and noise, so a difference is taken within each prompt and seed, which removes
most of the variance between texts.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from playground.experiment.statistics.interval import RESAMPLES, Array, Interval, alike, intervals

ALPHA = 0.05
POWER = 0.8  # of the test after the further prompts, if the true difference is the one found
MOST_FURTHER = 10_000  # prompts; a difference that needs more is too small to matter
_SEED = 20_240_608
_NUMBERS_AT_ONCE = 10_000_000


@dataclass(frozen=True)
class Difference:
    """The mean of ``first`` minus that of ``second``, over the prompts and seeds both have.

    ``p`` is that of the sign-flip test, ``corrected`` the same after Holm's correction over all
    pairs. ``further`` is how many more prompts would probably settle it; None where it is settled,
    or where more than ``MOST_FURTHER`` would be needed.
    """

    first: int
    second: int
    interval: Interval
    cells: int  # pairs of texts
    p: float
    corrected: float
    further: int | None

    @property
    def settled(self) -> bool:
        """Whether the difference is significant after the correction, and its interval agrees."""
        return self.corrected < ALPHA and self.interval.excludes_zero


@dataclass(frozen=True)
class _Pair:
    """Two recipes, their mean difference on each prompt, and the number of pairs of texts."""

    first: int
    second: int
    means: Array
    cells: int


def differences(values: Array) -> list[Difference]:
    """All pairs of recipes. ``values`` are ``[recipes, prompts, seeds]``, NaN where missing.

    A pair without a common prompt is left out.
    """
    pairs: list[_Pair] = []
    for first, second in combinations(range(len(values)), 2):
        paired = values[first] - values[second]
        some = ~np.isnan(paired).all(axis=1)
        if some.any():
            means = np.nanmean(paired[some], axis=1)
            pairs.append(_Pair(first, second, means, int((~np.isnan(paired)).sum())))
    means_of_all = [pair.means for pair in pairs]
    p = alike(sign_flips, means_of_all)
    found = alike(intervals, means_of_all)
    corrected = holm(p)
    ranked = sorted(p)
    return [
        _difference(
            pair, found[i], p[i], corrected[i], ALPHA / (len(p) - bisect_left(ranked, p[i]))
        )
        for i, pair in enumerate(pairs)
    ]


def sign_flips(means: Array) -> list[float]:
    """The two-sided p of a paired permutation test, for each row of ``[pairs, prompts]``.

    Under the null hypothesis each prompt's difference has either sign with equal chance. Exact for
    at most 13 prompts, else by random signs; scipy's ``permutation_test``.
    """
    if means.shape[1] < 2:
        return [1.0] * len(means)
    from scipy import stats

    found = stats.permutation_test(
        (means,),
        lambda flipped, axis: np.mean(flipped, axis=axis),
        permutation_type="samples",
        vectorized=True,
        axis=-1,
        n_resamples=RESAMPLES,
        batch=max(1, _NUMBERS_AT_ONCE // means.size),
        rng=np.random.default_rng(_SEED),
    )
    return [float(one) for one in np.minimum(1.0, found.pvalue)]


def holm(p: Sequence[float]) -> list[float]:
    """The p-values after Holm's (1979) step-down correction for the family-wise error."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    corrected, highest = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[i]))
        corrected[i] = highest
    return corrected


def further_prompts(means: Array, level: float) -> int | None:
    """How many more prompts would show a difference like this one; None for too many.

    For the mean and the standard deviation of ``means``, ``[prompts]``, a test at ``level`` and a
    power of 80 %.
    """
    from scipy import stats

    count, mean = len(means), abs(float(np.mean(means)))
    deviation = float(np.std(means, ddof=1)) if count > 1 else math.nan
    if not mean or not deviation > 0:
        return None if not mean or math.isnan(deviation) else _least(count, level)
    z = float(stats.norm.ppf(1 - level / 2) + stats.norm.ppf(POWER))
    # Student's quantiles in place of the normal ones need about z² / 4 more (Guenther 1981).
    wanted = (z * deviation / mean) ** 2 + float(stats.norm.ppf(1 - level / 2)) ** 2 / 2
    more = max(math.ceil(wanted) - count, _least(count, level), 1)
    return more if more <= MOST_FURTHER else None


def _least(count: int, level: float) -> int:
    """Further prompts that a sign-flip test needs to reach ``level`` even if all signs agree."""
    return max(0, math.ceil(1 + math.log2(1 / level)) - count)


def _difference(
    pair: _Pair, found: Interval, p: float, corrected: float, level: float
) -> Difference:
    """The difference of a pair; ``level`` is that of Holm's correction for its ``p``."""
    made = Difference(pair.first, pair.second, found, pair.cells, p, corrected, None)
    return made if made.settled else replace(made, further=further_prompts(pair.means, level))
