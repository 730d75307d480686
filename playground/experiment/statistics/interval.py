"""The confidence interval of a mean over prompts, by a cluster bootstrap that resamples prompts.

Texts of one prompt resemble each other, so whole prompts are resampled. Each prompt counts as the
mean of its texts; to resample prompts is then to resample those means.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 9_999
LEAST = 3  # prompts below which there is no interval
_SEED = 20_240_607  # of the resampling: the same data give the same interval
_NUMBERS_AT_ONCE = 20_000_000  # that a bootstrap draws
_MEANS_AT_ONCE = 500

_T = TypeVar("_T")
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval, whose bounds are None where there are too few prompts."""

    mean: float
    low: float | None
    high: float | None
    prompts: int

    @property
    def excludes_zero(self) -> bool:
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def interval(means: NDArray[np.float64], resamples: int = RESAMPLES) -> Interval:
    """The interval of the mean of the prompts' means, ``[prompts]``, of at least one prompt."""
    return intervals(means[None], resamples)[0]


def intervals(means: NDArray[np.float64], resamples: int = RESAMPLES) -> list[Interval]:
    """The interval of each row of ``[pairs, prompts]``."""
    count = means.shape[1]
    mean = [float(one) for one in np.mean(means, axis=1)]
    if count < LEAST:
        return [Interval(one, None, None, count) for one in mean]
    low, high = bounds(means, resamples=resamples)
    return [Interval(mean[i], float(low[i]), float(high[i]), count) for i in range(len(mean))]


def bounds(
    means: NDArray[np.float64], confidence: float = CONFIDENCE, resamples: int = RESAMPLES
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lower and upper bounds of the means of ``[rows, prompts]``, of at least 3 prompts.

    BCa (Efron 1987), by scipy. For a mean of few numbers a bootstrap is too narrow: it uses normal
    quantiles instead of Student's, and the biased variance of the sample. The level is widened to
    make up for both (Hesterberg 2015, "What teachers should know about the bootstrap").
    """
    from scipy import stats  # slow to import; many requests do not need it

    count = means.shape[-1]
    quantile = stats.t.ppf(0.5 + confidence / 2, count - 1) * math.sqrt(count / (count - 1))
    level = 2 * stats.norm.cdf(quantile) - 1
    low, high = means[:, 0].copy(), means[:, 0].copy()
    varied = np.ptp(means, axis=-1) > 0  # BCa is not defined where all numbers are the same
    if varied.any():
        found: Any = stats.bootstrap(
            (means[varied],),
            np.mean,
            axis=-1,
            vectorized=True,
            paired=False,
            confidence_level=min(level, 1 - 2 / resamples),
            n_resamples=resamples,
            batch=max(1, _NUMBERS_AT_ONCE // means[varied].size),
            method="BCa",
            rng=np.random.default_rng(_SEED),
        ).confidence_interval
        low[varied], high[varied] = found.low, found.high
    return low, high


def alike(of: Callable[[Array], list[_T]], means: Sequence[Array]) -> list[_T]:
    """``of`` of each of ``means``, one call for all that have the same number of prompts."""
    found: dict[int, _T] = {}
    for count in {len(one) for one in means}:
        those = [i for i, one in enumerate(means) if len(one) == count]
        for start in range(0, len(those), _MEANS_AT_ONCE):
            some = those[start : start + _MEANS_AT_ONCE]
            found.update(zip(some, of(np.stack([means[i] for i in some])), strict=True))
    return [found[i] for i in range(len(means))]
