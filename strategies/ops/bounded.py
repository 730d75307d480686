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
    from ``mean_low`` to ``mean_high``; so many as ``strayed`` of each may lie below it by now.
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

    def _weights(self, power: float = 1.0) -> tuple[Floats, Floats, Floats, Floats]:
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
        low, high, least, most = self._weights(power)
        sums = (a.sum(-1, keepdims=True) + b.sum(-1, keepdims=True) for a, b in
                ((low, least), (high, most)))  # fmt: skip
        with np.errstate(divide="ignore"):
            at_least, at_most = (np.log(total) + power * self.best_high for total in sums)
        return at_least - LOOSE, at_most + LOOSE

    def entropy(self) -> tuple[Floats, Floats]:
        """Nats, at least and at most, ``[rows, 1]``."""
        low, high, least, most = self._weights()
        total_low = low.sum(-1, keepdims=True) + least.sum(-1, keepdims=True)
        total_high = high.sum(-1, keepdims=True) + most.sum(-1, keepdims=True)
        # As deep as that a token weighs nothing.
        depth = [np.clip(self.best_high - score, 0.0, 1e4) for score in (self.high, self.low)]
        bins = [np.clip(self.best_high - edge, 0.0, 1e4) for edge in (self.top, self.bottom)]
        # Σ d·exp(−d), where d is the depth below the best.
        sums = [
            (known * depth[at]).sum(-1, keepdims=True) + (rest * bins[at]).sum(-1, keepdims=True)
            for at, (known, rest) in enumerate(((low, least), (high, most)))
        ]
        with np.errstate(divide="ignore", invalid="ignore"):
            lowest = np.log(total_low) + sums[0] / total_high
            highest = np.log(total_high) + sums[1] / np.maximum(total_low, 1e-300)
        return np.maximum(lowest - LOOSE, 0.0), highest + LOOSE

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
        return self._kept(least < count, most < count, bin_least < count, bin_most <= count)

    def within(self, mass: float) -> Bounded:
        """The highest until their probabilities reach ``mass``, the one that does included."""
        above = self._above
        low, high, least, most = self._weights()
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
            strayed=self.strayed + np.array([[part[5]] for part in parts], dtype=np.float64),
        )

    def _each(
        self, row: int, change: Callable[[NDArray[np.float32], int], Any], vocab: int
    ) -> tuple[Any, ...]:
        ids, low, high = self.ids[row], self.low[row], self.high[row]
        may, must = self.may[row], self.must[row]
        real = np.flatnonzero(ids >= 0)
        known = ids[real]
        ceiling = float(self.top[row][self.counts[row] > 0].max(initial=-1e4))
        before = np.full((2, vocab), ceiling, dtype=np.float32)
        before[0] = -1e4
        before[0, known], before[1, known] = low[real], high[real]
        after = np.asarray(change(before, row))
        moved = (after[0] != before[0]) | (after[1] != before[1])
        touched = moved[known]
        moved[known] = False
        strangers = np.flatnonzero(moved)
        raised = strangers[after[1, strangers] > ceiling]
        if len(raised) > 64:
            raise Unknown("it raises more tokens than were recorded.")
        low, high, may, must = low.copy(), high.copy(), may.copy(), must.copy()
        was = real[touched]
        shadows = was[after[1, known[touched]] < high[was]] if len(was) else was
        # Of what stood for the unknown ones, only a token outside of the likeliest can be missed.
        shadows = shadows[high[shadows] <= ceiling]
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
        )


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
