"""What is known of rows of scores of which only some tokens are known exactly, and of their sums.

Of every row the likeliest tokens are known, and some others; all that is known of the rest is how
many lie in each of some bins and about where. Whether a token stays behind a truncation is then
certain, or it is not: ``must`` says that it stays, ``may`` that it could. Every sum over a row has
a least and a greatest value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]  # float64; what NumPy says of its own sums differs between releases
Bools = NDArray[np.bool_]

NEAR = 1e-6  # scores that differ by less of their size may be in either order in float32
LOOSE = 4e-6  # the same of shares of the whole mass


class Unknown(Exception):
    """What is known of the scores does not tell; the message is a sentence that says why."""


@dataclass(frozen=True)
class BoundedScores:
    """``rows`` of scores, with ``[rows, known]`` tokens and ``[rows, bins]`` of the others.

    ``ids`` are −1 for a stand-in: an unknown token could be as good as that, but no better than all
    of a row's stand-ins. They have no part in sums. ``low`` and ``high`` bound a score; they are
    equal where it is exact. A bin's ``counts`` tokens lie from ``bottom`` to ``top``, their mean
    from ``mean_low`` to ``mean_high``; so many as ``strayed`` of each may lie below it by now. What
    is said of a ``lost`` row means nothing.
    """

    ids: NDArray[np.int64]
    low: Floats
    high: Floats
    may: Bools
    must: Bools
    counts: Floats
    bottom: Floats
    top: Floats
    mean_low: Floats
    mean_high: Floats
    bin_may: Bools
    bin_must: Bools
    strayed: Floats  # [rows, 1]
    lost: Bools  # [rows], of which nothing is known any more

    @cached_property
    def best_low(self) -> Floats:
        """The highest score is at least this, ``[rows, 1]``."""
        return np.asarray(np.where(self.must, self.low, -np.inf).max(-1, keepdims=True))

    @cached_property
    def best_high(self) -> Floats:
        """And at most this."""
        return np.asarray(np.where(self.may, self.high, -np.inf).max(-1, keepdims=True))

    @cached_property
    def base(self) -> Floats:
        """What scores are compared with: the highest, or 0 in a row where nothing may be left."""
        return np.asarray(np.where(np.isfinite(self.best_high), self.best_high, 0.0))

    def weights(self, power: float = 1.0) -> tuple[Floats, Floats, Floats, Floats]:
        """exp(power · score) of tokens and of bins, at least and at most; about 1 for the best."""
        real, base = self.ids >= 0, self.base
        with np.errstate(invalid="ignore", over="ignore"):
            low = np.where(self.must & real, np.exp(power * (self.low - base)), 0.0)
            high = np.where(self.may & real, np.exp(power * (self.high - base)), 0.0)
            # Bins of which nothing may be left can lie far above the base.
            bottom, top = (
                np.exp(np.minimum(power * (edge - base), 600.0)) for edge in (self.bottom, self.top)
            )
            least = self.counts * np.exp(power * (self.mean_low - base))  # Jensen
            share: Floats = (self.mean_high - self.bottom) / (self.top - self.bottom)
        share = np.clip(np.where(np.isfinite(share), share, 1.0), 0.0, 1.0)
        most = self.counts * (bottom + (top - bottom) * share)  # by the chord
        # Those that strayed weighed no more than their bin's top, and weigh no less than nothing.
        least = np.maximum(least - self.strayed * top, 0.0)
        return (
            low,
            high,
            np.where(self.bin_must, least, 0.0),
            np.where(self.bin_may, most, 0.0),
        )

    def log_total(self) -> tuple[Floats, Floats]:
        """The log of the sum of exp(score), at least and at most, ``[rows, 1]``."""
        return self._log_sum(1.0)

    def log_squares(self) -> tuple[Floats, Floats]:
        """The log of the sum of exp(2 · score)."""
        return self._log_sum(2.0)

    def _log_sum(self, power: float) -> tuple[Floats, Floats]:
        low, high, least, most = self.weights(power)
        sums = (a.sum(-1, keepdims=True) + b.sum(-1, keepdims=True) for a, b in
                ((low, least), (high, most)))  # fmt: skip
        with np.errstate(divide="ignore"):
            at_least, at_most = (np.log(total) + power * self.base for total in sums)
        return at_least - LOOSE, at_most + LOOSE

    def entropy(self) -> tuple[Floats, Floats]:
        """Nats, at least and at most, ``[rows, 1]``."""
        (low, high), (depths_low, depths_high) = self._sums_of_depths()
        with np.errstate(divide="ignore", invalid="ignore"):
            lowest = np.log(low) + depths_low / high
            highest = np.log(high) + depths_high / np.maximum(low, 1e-300)
        return np.maximum(lowest - LOOSE, 0.0), highest + LOOSE

    def mean_score(self) -> tuple[Floats, Floats]:
        """The mean of the scores by their probabilities, at least and at most, ``[rows, 1]``."""
        (low, high), (depths_low, depths_high) = self._sums_of_depths()
        base = self.base
        return (
            base - depths_high / np.maximum(low, 1e-300) - LOOSE,
            base - depths_low / high + LOOSE,
        )

    def _sums_of_depths(self) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        """Bounds on Σ exp(−d), and on Σ d·exp(−d), where d is the depth below the best."""
        low, high, least, most = self.weights()
        base = self.base
        total = [part.sum(-1, keepdims=True) for part in (low, high, least, most)]
        # As deep as that a token weighs nothing.
        depth = [np.clip(base - score, 0.0, 1e4) for score in (self.high, self.low)]
        start: Floats = np.clip(base - self.top, 0.0, 1e4)
        end: Floats = np.clip(base - self.bottom, 0.0, 1e4)
        means = [np.clip(base - mean, start, end) for mean in (self.mean_high, self.mean_low)]
        any_low, any_high = _between(start, end)
        by_mean = _between(*means)
        # Tokens on both sides of their mean weigh more or less than as many at it, by the bend.
        bend = (end - start) ** 2 / 8 * np.maximum(abs(start - 2), abs(end - 2)) * np.exp(-start)
        each_low = np.maximum(any_low, by_mean[0] - bend)
        each_high = np.minimum(any_high, by_mean[1] + bend)
        # One that strayed lies deeper: there it weighs less, but for what is very near the best.
        strayed = np.where((self.strayed > 0) & (start < 1), np.exp(-1.0), 0.0)
        bins_low = np.maximum(self.counts * each_low - self.strayed * any_high, 0.0)
        bins_high = self.counts * np.maximum(each_high, strayed)
        sums = [
            (low * depth[0]).sum(-1, keepdims=True)
            + np.where(self.bin_must, bins_low, 0.0).sum(-1, keepdims=True),
            (high * depth[1]).sum(-1, keepdims=True)
            + np.where(self.bin_may, bins_high, 0.0).sum(-1, keepdims=True),
        ]
        return (total[0] + total[2], total[1] + total[3]), (sums[0], sums[1])

    def ranked(self, count: int) -> tuple[Floats, Floats]:
        """The ``count`` highest scores in falling order, at least and at most; −inf for none."""
        real = self.ids >= 0
        left = np.clip(self.counts - self.strayed, 0, count) * self.bin_must
        held = np.clip(self.counts, 0, count) * self.bin_may
        found = np.full((2, len(self.ids), count), -np.inf)
        for row in range(len(self.ids)):
            for side, which, score, number, edge in (
                (0, self.must, self.low, left, self.bottom),
                (1, self.may, self.high, held, self.top),
            ):
                own = score[row][which[row] & real[row]]
                others = np.repeat(edge[row], number[row].astype(np.int64))
                best = np.sort(np.concatenate([own, others]))[::-1][:count]
                found[side, row, : len(best)] = best
        return found[0], found[1]

    def survivors(self) -> tuple[Floats, Floats]:
        """How many tokens are left, at least and at most, ``[rows, 1]``."""
        real = self.ids >= 0
        sides = ((self.must, self.bin_must), (self.may, self.bin_may))
        low, high = (
            (which & real).sum(-1, keepdims=True) + (self.counts * bins).sum(-1, keepdims=True)
            for which, bins in sides
        )
        return low, high


def _between(start: Floats, end: Floats) -> tuple[Floats, Floats]:
    """The least and the most that d·exp(−d) is from ``start`` to ``end``."""
    low, high = start * np.exp(-start), end * np.exp(-end)
    peak = np.where((start <= 1) & (end >= 1), np.exp(-1.0), np.maximum(low, high))
    return np.minimum(low, high), peak
