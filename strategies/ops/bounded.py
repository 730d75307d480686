"""Scores of rows of which only some tokens are known exactly, and the bounds of all that follows.

Of every row the likeliest tokens are known, and some others; all that is known of the rest is how
many lie in each of some bins and about where. Whether a token stays behind a truncation is then
certain, or it is not: ``must`` says that it stays, ``may`` that it could.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]  # float64; what NumPy says of its own sums differs between releases
Bools = NDArray[np.bool_]

NEAR = 1e-6  # scores that differ by less of their size may be in either order in float32
_LISTED = 64  # tokens that were not recorded and are named one by one
LOOSE = 4e-6  # the same of shares of the whole mass


class Unknown(Exception):
    """What is known of the scores does not tell; the message is a sentence that says why."""


@dataclass(frozen=True)
class _Above:
    """Tokens ``[rows, tokens, tokens]``, and numbers of bins ``[rows, tokens]``."""

    sure: Bools
    maybe: Bools
    bins_sure: NDArray[np.int64]
    bins_maybe: NDArray[np.int64]


@dataclass(frozen=True)
class Bounded:
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
    def _above(self) -> _Above:
        """Which tokens, and how many bins, surely or maybe lie above each token.

        Equal exact scores stay equal through every step that keeps the order.
        """
        low, high = self.low[:, None, :], self.high[:, None, :]
        own_low, own_high = self.low[:, :, None], self.high[:, :, None]
        equal = (low == high) & (own_low == own_high) & (low == own_low)
        maybe = (high > own_low - _near(own_low)) & ~equal
        at = np.arange(self.low.shape[1])
        maybe[:, at, at] = False
        top, bottom = self.top[:, None, :], self.bottom[:, None, :]
        # Bins follow each other downwards, so those above a token are the first so many.
        return _Above(
            low > own_high + _near(own_high),
            maybe,
            (bottom > own_high + _near(own_high)).sum(-1),
            ((top > own_low - _near(own_low)) & (top != own_low)).sum(-1),
        )

    def weights(self, power: float = 1.0) -> tuple[Floats, Floats, Floats, Floats]:
        """exp(power · score) of tokens and of bins, at least and at most; about 1 for the best."""
        real = self.ids >= 0
        base = self.best_high
        with np.errstate(invalid="ignore", over="ignore"):
            low = np.where(self.must & real, np.exp(power * (self.low - base)), 0.0)
            high = np.where(self.may & real, np.exp(power * (self.high - base)), 0.0)
            bottom, top = (np.exp(power * (edge - base)) for edge in (self.bottom, self.top))
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
            at_least, at_most = (np.log(total) + power * self.best_high for total in sums)
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
        base = self.best_high
        return (
            base - depths_high / np.maximum(low, 1e-300) - LOOSE,
            base - depths_low / high + LOOSE,
        )

    def _sums_of_depths(self) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        """Bounds on Σ exp(−d), and on Σ d·exp(−d), where d is the depth below the best."""
        low, high, least, most = self.weights()
        base = self.best_high
        total = [part.sum(-1, keepdims=True) for part in (low, high, least, most)]
        # As deep as that a token weighs nothing.
        depth = [np.clip(base - score, 0.0, 1e4) for score in (self.high, self.low)]
        start, end = (np.clip(base - edge, 0.0, 1e4) for edge in (self.top, self.bottom))
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

    def scaled(self, factor: float) -> Bounded:
        """Every score times ``factor``, which is above 0: the order stays."""
        changed = replace(
            self,
            low=self.low * factor,
            high=self.high * factor,
            bottom=self.bottom * factor,
            top=self.top * factor,
            mean_low=self.mean_low * factor,
            mean_high=self.mean_high * factor,
        )
        if bool((self.low == self.high).all()):
            # What is equal stays so, and what may be is decided by the same differences.
            changed.__dict__["_above"] = self._above
        return changed

    def scaled_within(self, low: Floats, high: Floats) -> Bounded:
        """A row's scores times one factor from ``low`` to ``high``, above 0, ``[rows, 1]``."""

        def ends(least: Floats, most: Floats) -> tuple[Floats, Floats]:
            return (
                np.where(least >= 0, least * low, least * high),
                np.where(most >= 0, most * high, most * low),
            )

        scores, edges = ends(self.low, self.high), ends(self.bottom, self.top)
        means = ends(self.mean_low, self.mean_high)
        changed = replace(
            self, low=scores[0], high=scores[1], bottom=edges[0], top=edges[1],
            mean_low=means[0], mean_high=means[1],
        )  # fmt: skip
        changed.__dict__["_above"] = self._above  # one factor for all keeps the order
        return changed

    def _kept(self, may: Bools, must: Bools, bin_may: Bools, bin_must: Bools) -> Bounded:
        changed = replace(
            self,
            may=self.may & may,
            must=self.must & must,
            bin_may=self.bin_may & bin_may,
            bin_must=self.bin_must & bin_must,
        )
        changed.__dict__["_above"] = self._above
        return changed

    def at_least(self, low: Floats, high: Floats) -> Bounded:
        """Without the tokens below a bar that lies from ``low`` to ``high``, ``[rows, 1]``.

        The best token always stays.
        """
        best = self._surely_best
        return self._kept(
            (self.high >= low - _near(low)) | best,
            (self.low >= high + _near(high)) | best,
            self.top >= low - _near(low),
            self.bottom >= high + _near(high),
        )

    def likeliest(self, count: int) -> Bounded:
        """The ``count`` highest, those that equal the last of them included."""
        return self.ranks(np.array([[count]]), np.array([[count]]))

    def ranks(self, fewest: NDArray[np.int64], most_kept: NDArray[np.int64]) -> Bounded:
        """The highest of each row, ``fewest`` at least and ``most_kept`` at most, ``[rows, 1]``."""
        above = self._above
        real = self.ids >= 0
        left = np.maximum(self.counts - self.strayed, 0.0) * self.bin_must
        least = _sums(above.sure, (self.must & real).astype(float))
        least += _first(above.bins_sure, left)
        most = _sums(above.maybe, (self.may & real).astype(float))
        most += _first(above.bins_maybe, self.counts * self.bin_may)
        known_least, known_most = self._known_above_bins(
            (self.must & real).astype(float), (self.may & real).astype(float)
        )
        held = self.counts * self.bin_may
        bin_least = known_least + np.cumsum(left, -1) - left
        bin_most = known_most + np.cumsum(held, -1)
        return self._kept(
            least < most_kept, most < fewest, bin_least < most_kept, bin_most <= fewest
        )

    def within(self, mass: float) -> Bounded:
        """The highest until their probabilities reach ``mass``, the one that does included."""
        above = self._above
        low, high, least, most = self.weights()
        before_least = _sums(above.sure, low) + _first(above.bins_sure, least)
        before_most = _sums(above.maybe, high) + _first(above.bins_maybe, most)
        rest_least = _rest(above.maybe, low) + _rest_bins(above.bins_maybe, least)
        rest_most = _rest(above.sure, high) + _rest_bins(above.bins_sure, most)
        may = before_least < (mass + LOOSE) * (before_least + rest_most)
        must = before_most < (mass - LOOSE) * (before_most + rest_least)
        first = self._surely_best
        known_least, known_most = self._known_above_bins(low, high)
        bin_before_least = known_least + np.cumsum(least, -1) - least
        bin_before_most = known_most + np.cumsum(most, -1)
        total_least = low.sum(-1, keepdims=True) + least.sum(-1, keepdims=True)
        total_most = high.sum(-1, keepdims=True) + most.sum(-1, keepdims=True)
        return self._kept(
            may | first,
            must | first,
            bin_before_least < (mass + LOOSE) * total_most,
            bin_before_most < (mass - LOOSE) * total_least,
        )

    @property
    def _surely_best(self) -> Bools:
        """The tokens above which no other is left."""
        real = (self.may & (self.ids >= 0)).astype(float)
        above = self._above
        return np.asarray(
            (_sums(above.maybe, real) == 0)
            & (_first(above.bins_maybe, self.bin_may.astype(float)) == 0)
        )

    def _known_above_bins(self, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """What known tokens surely, and maybe, put above some token of each bin."""
        top, bottom = self.top[:, :, None], self.bottom[:, :, None]
        surely = self.low[:, None, :] > top + _near(top)
        maybe = self.high[:, None, :] > bottom - np.where(np.isfinite(bottom), _near(bottom), 0)
        return _sums(surely, low), _sums(maybe, high)

    def best_alone(self) -> Bounded:
        """The highest token alone, the first of equal ones."""
        below = self.best_low
        score = np.where(self.may, self.high, -np.inf)
        exact = self.low == self.high
        top = (score == self.best_high) & exact
        ids = np.where(top & self.may, self.ids, np.iinfo(np.int64).max)
        first = top & (ids == ids.min(-1, keepdims=True))
        may = (self.high >= below - _near(below)) & (first | ~top)
        sole = may.sum(-1, keepdims=True) == 1
        none = np.zeros_like(self.bin_may)
        stands_in = self.ids < 0  # an unknown token equals the best: which comes first is not told
        may |= stands_in & (self.high >= below - _near(below))
        return self._kept(may, may & sole & ~(may & stands_in).any(-1, keepdims=True), none, none)

    def each(self, change: Callable[[NDArray[np.float32], int], Any], vocab: int) -> Bounded:
        """Every score changed by itself: ``change`` is given a row's scores twice, at least and at
        most, float32 ``[2, vocab]``, with the row's number, and returns the new ones.

        Raises ``Unknown`` where it raises more tokens that are not known than can be followed.
        """
        parts = [self._each(row, change, vocab) for row in range(len(self.ids))]
        width = max((len(part[0]) for part in parts), default=0)
        closed = np.array([[part[6]] for part in parts], dtype=np.bool_)

        def stacked(at: int, blank: Any, kind: Any) -> Any:
            out = np.full((len(parts), width), blank, dtype=kind)
            for row, part in enumerate(parts):
                out[row, : len(part[at])] = part[at]
            return out

        return replace(
            self,
            ids=stacked(0, -1, np.int64),
            low=stacked(1, -np.inf, np.float64),
            high=stacked(2, -np.inf, np.float64),
            may=stacked(3, False, np.bool_),
            must=stacked(4, False, np.bool_),
            bin_may=self.bin_may & ~closed,
            bin_must=self.bin_must & ~closed,
            strayed=self.strayed + np.array([[part[5]] for part in parts], dtype=np.float64),
        )

    def _each(
        self, row: int, change: Callable[[NDArray[np.float32], int], Any], vocab: int
    ) -> tuple[Any, ...]:
        ids, low, high = self.ids[row], self.low[row], self.high[row]
        may, must = self.may[row], self.must[row]
        real = np.flatnonzero(ids >= 0)
        known = ids[real]
        filled = self.bin_may[row] & (self.counts[row] > 0)
        ceiling = float(self.top[row][filled].max(initial=-1e4))
        floor = float(self.bottom[row][filled].min(initial=ceiling))
        before = np.empty((2, vocab), dtype=np.float32)
        before[0] = floor if np.isfinite(floor) and not self.strayed[row, 0] else -1e4
        before[1] = ceiling
        before[0, known], before[1, known] = low[real], high[real]
        after = np.asarray(change(before, row))
        moved = after[0] != before[0]
        moved |= after[1] != before[1]
        touched = moved[known]
        moved[known] = False
        # Where no bin is left, the unknown tokens were removed before.
        strangers = np.flatnonzero(moved) if filled.any() else np.empty(0, np.int64)
        left = vocab - len(known) - int((after[1, strangers] == -np.inf).sum())
        raised = strangers[after[1, strangers] > ceiling]
        if len(raised) > _LISTED:
            raise Unknown("it raises more tokens than were recorded.")
        low, high, may, must = low.copy(), high.copy(), may.copy(), must.copy()
        closed = left <= _LISTED or not filled.any()  # so few unknown ones that each is named
        if closed:
            those = np.setdiff1d(np.flatnonzero(after[1] > -np.inf), known)
            raised = those if filled.any() else those[:0]
            may = may & (ids >= 0)
        was = real[touched]
        shadows = was[after[1, known[touched]] < high[was]] if len(was) else was
        # Of what stood for the unknown ones, only a token outside of the likeliest can be missed.
        shadows = shadows[(high[shadows] <= ceiling) & (not closed)]
        extra_low, extra_high = self.low[row][shadows], self.high[row][shadows]
        low[was], high[was] = after[0, known[touched]], after[1, known[touched]]
        gone = was[~(high[was] > -np.inf)]
        may[gone] = must[gone] = False
        return (
            np.concatenate([ids, -2 - ids[shadows], raised]),
            np.concatenate([low, extra_low, np.full(len(raised), -np.inf)]),
            np.concatenate([high, extra_high, after[1, raised]]),
            np.concatenate([may, self.may[row][shadows], np.ones(len(raised), bool)]),
            np.concatenate([must, np.zeros(len(shadows) + len(raised), bool)]),
            float(len(strangers)),
            closed,
        )


def _between(start: Floats, end: Floats) -> tuple[Floats, Floats]:
    """The least and the most that d·exp(−d) is from ``start`` to ``end``."""
    low, high = start * np.exp(-start), end * np.exp(-end)
    peak = np.where((start <= 1) & (end >= 1), np.exp(-1.0), np.maximum(low, high))
    return np.minimum(low, high), peak


def _near(scores: Floats) -> Floats:
    return np.asarray(NEAR * (1.0 + np.abs(np.where(np.isfinite(scores), scores, 0.0))))


def _sums(which: Bools, weights: Floats) -> Floats:
    """Of each row and token the weights of those that ``which`` ``[rows, any, any]`` names."""
    return np.asarray(np.matmul(which.astype(np.float64), weights[:, :, None])[:, :, 0])


def _rest(which: Bools, weights: Floats) -> Floats:
    """The weights of those that it does not name."""
    return _sums(~which, weights)


def _first(count: NDArray[np.int64], weights: Floats) -> Floats:
    """Of each row and token the weights of the first ``count`` ``[rows, tokens]`` bins."""
    sums = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(weights, -1)], -1)
    return np.asarray(np.take_along_axis(sums, count, -1))


def _rest_bins(count: NDArray[np.int64], weights: Floats) -> Floats:
    """The weights of the others."""
    sums = np.concatenate(
        [np.cumsum(weights[:, ::-1], -1)[:, ::-1], np.zeros((len(weights), 1))], -1
    )
    return np.asarray(np.take_along_axis(sums, count, -1))
