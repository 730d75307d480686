"""Cuts and changes of scores of which only some are known: what surely stays, and what may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bounded_each import Change, ChangedRow, changed_rows
from .bounded_scores import LOOSE, NEAR, Bools, BoundedScores, Floats, Unknown

# Also what a plugin's ``bound`` needs.
__all__ = ["LOOSE", "NEAR", "Bools", "Bounded", "Floats", "Unknown"]


@dataclass(frozen=True)
class _Above:
    """Tokens ``[rows, tokens, tokens]``, and numbers of bins ``[rows, tokens]``."""

    sure: Bools
    maybe: Bools
    bins_sure: NDArray[np.int64]
    bins_maybe: NDArray[np.int64]


@dataclass(frozen=True)
class _SumsAbove:
    """The weights, at least and at most, of the tokens above each token, and of all others.

    Both are ``[rows, tokens]``. ``bins_…``, ``[rows, bins]``, are of the tokens above some token of
    each bin, and ``total_…``, ``[rows, 1]``, of all tokens.
    """

    least: Floats
    most: Floats
    rest_least: Floats
    rest_most: Floats
    bins_least: Floats
    bins_most: Floats
    total_least: Floats
    total_most: Floats


@dataclass(frozen=True)
class Bounded(BoundedScores):
    """Such rows, and what processors do to them: a method returns what is known afterwards."""

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
        sums, first = self._sums_above, self._surely_best
        may = sums.least < (mass + LOOSE) * (sums.least + sums.rest_most)
        must = sums.most < (mass - LOOSE) * (sums.most + sums.rest_least)
        return self._kept(
            may | first,
            must | first,
            sums.bins_least < (mass + LOOSE) * sums.total_most,
            sums.bins_most < (mass - LOOSE) * sums.total_least,
        )

    @cached_property
    def _sums_above(self) -> _SumsAbove:
        above = self._above
        low, high, least, most = self.weights()
        known_least, known_most = self._known_above_bins(low, high)
        return _SumsAbove(
            least=_sums(above.sure, low) + _first(above.bins_sure, least),
            most=_sums(above.maybe, high) + _first(above.bins_maybe, most),
            rest_least=_rest(above.maybe, low) + _rest_bins(above.bins_maybe, least),
            rest_most=_rest(above.sure, high) + _rest_bins(above.bins_sure, most),
            bins_least=known_least + np.cumsum(least, -1) - least,
            bins_most=known_most + np.cumsum(most, -1),
            total_least=low.sum(-1, keepdims=True) + least.sum(-1, keepdims=True),
            total_most=high.sum(-1, keepdims=True) + most.sum(-1, keepdims=True),
        )

    @cached_property
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

    def each(self, change: Change, vocab: int) -> Bounded:
        """Every score changed by itself: ``change`` is given a row's scores twice, at least and at
        most, float32 ``[2, vocab]``, with the row's number, and returns the new ones.

        Raises ``Unknown`` where it raises more tokens that are not known than can be followed.
        """
        parts = list(changed_rows(self, change, vocab))
        width = max((len(part.ids) for part in parts), default=0)
        closed = np.array([[part.closed] for part in parts], dtype=np.bool_)

        def stacked(values: Callable[[ChangedRow], NDArray[Any]], blank: Any, kind: Any) -> Any:
            out = np.full((len(parts), width), blank, dtype=kind)
            for row, part in enumerate(parts):
                out[row, : len(part.ids)] = values(part)
            return out

        return replace(
            self,
            ids=stacked(lambda part: part.ids, -1, np.int64),
            low=stacked(lambda part: part.low, -np.inf, np.float64),
            high=stacked(lambda part: part.high, -np.inf, np.float64),
            may=stacked(lambda part: part.may, False, np.bool_),
            must=stacked(lambda part: part.must, False, np.bool_),
            bin_may=self.bin_may & ~closed,
            bin_must=self.bin_must & ~closed,
            strayed=self.strayed + np.array([[part.strayed] for part in parts], dtype=np.float64),
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
    rows, bins = weights.shape
    sums = np.zeros((rows, bins + 1))
    np.cumsum(weights, -1, out=sums[:, 1:])
    return np.asarray(sums[np.arange(rows)[:, None], count])


def _rest_bins(count: NDArray[np.int64], weights: Floats) -> Floats:
    """The weights of the others."""
    rows, bins = weights.shape
    sums = np.zeros((rows, bins + 1))
    np.cumsum(weights[:, ::-1], -1, out=sums[:, -2::-1])
    return np.asarray(sums[np.arange(rows)[:, None], count])
