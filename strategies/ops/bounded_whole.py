"""What becomes of rows of which all that is left is known, and of scores that are bent alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bounded import LOOSE, Bools, Bounded, Floats, Unknown


def known_whole(scores: Bounded) -> Bools:
    """The rows ``[rows]`` of which each token that is left is known, and so is its score."""
    real = scores.ids >= 0
    left = scores.may & real
    settled = ~left | (scores.must & (scores.low == scores.high))
    others = (scores.bin_may & (scores.counts > 0)).any(-1) | (scores.may & ~real).any(-1)
    return np.asarray(settled.all(-1) & left.any(-1) & ~others & ~scores.lost)


def where_whole(
    scores: Bounded, change: Callable[[NDArray[np.float32], int], Any], vocab: int
) -> Bounded:
    """The rows that are known as a whole, changed; of the others nothing is known any more.

    ``change`` is given a row's scores, float32 ``[vocab]``, and its number, and returns new ones.
    Raises ``Unknown`` where no row is known as a whole.
    """
    whole = known_whole(scores)
    if not whole.any():
        raise Unknown("what it does to a token depends on scores that were not recorded.")
    low, may = scores.low.copy(), scores.may.copy()
    for row in np.flatnonzero(whole):
        left = np.flatnonzero(scores.may[row])
        ids = scores.ids[row, left]
        before = np.full(vocab, -np.inf, dtype=np.float32)
        before[ids] = low[row, left]
        low[row, left] = np.asarray(change(before, int(row)))[ids]
        may[row, left] = low[row, left] > -np.inf
    return replace(
        scores,
        low=low,
        high=np.where(whole[:, None], low, scores.high),
        may=may,
        must=np.where(whole[:, None], may, scores.must),
        lost=scores.lost | ~whole,
    )


def bent(scores: Bounded, change: Callable[[Floats], Floats]) -> Bounded:
    """Each score's distance from the highest, 0 or below, changed by a rising concave function
    that leaves 0 as it is: the order stays. Nothing is known any more where none surely is left.
    """
    none = ~np.isfinite(scores.best_low)
    least, most = np.where(none, 0.0, scores.best_low), scores.base

    def lowest(values: Floats) -> Floats:
        return np.asarray(least + change(np.clip(values - most, -1e9, 0.0)))

    def highest(values: Floats) -> Floats:
        return np.asarray(most + change(np.clip(values - least, -1e9, 0.0)))

    bottom, top = lowest(scores.bottom), highest(scores.top)
    with np.errstate(divide="ignore", invalid="ignore"):
        share: Floats = (scores.mean_low - scores.bottom) / (scores.top - scores.bottom)
    share = np.clip(np.where(np.isfinite(share), share, 0.0), 0.0, 1.0)
    mean_low = bottom + share * np.maximum(lowest(scores.top) - bottom, 0.0)  # the chord
    return replace(
        scores,
        low=lowest(scores.low),
        high=highest(scores.high),
        bottom=bottom,
        top=top,
        mean_low=mean_low,
        mean_high=np.clip(highest(scores.mean_high), mean_low, top),  # Jensen
        lost=scores.lost | none[:, 0],
    )


def gathered(scores: Bounded, moved: Sequence[Bools | None], to: int) -> Bounded:
    """Of each row the tokens that ``moved`` ``[vocab]`` names, with their mass put on one of them.

    Rows with None stay, and so do those from which that token was removed. Nothing is known any
    more of a row where it was not recorded.
    """
    low, high = scores.low.copy(), scores.high.copy()
    may, must, lost = scores.may.copy(), scores.must.copy(), scores.lost.copy()
    bin_must = scores.bin_must.copy()
    base = scores.base[:, 0]
    least, most, _, others = scores.weights()
    for row, named in enumerate(moved):
        if named is None:
            continue
        at = np.flatnonzero(scores.ids[row] == to)
        if not len(at) or may[row, at[0]] != must[row, at[0]]:
            lost[row] |= bool(len(at)) or bool(others[row].any())
            continue
        if not may[row, at[0]]:
            continue
        own = (scores.ids[row] >= 0) & named[np.maximum(scores.ids[row], 0)]
        masses = least[row][own].sum(), most[row][own].sum() + others[row].sum()
        may[row, own] = must[row, own] = False
        may[row, at[0]] = must[row, at[0]] = True
        low[row, at[0]], high[row, at[0]] = np.log(np.maximum(masses, 1e-300)) + base[row]
        low[row, at[0]], high[row, at[0]] = low[row, at[0]] - LOOSE, high[row, at[0]] + LOOSE
        bin_must[row] = False  # any of the unknown ones may have been among them
    return replace(scores, low=low, high=high, may=may, must=must, bin_must=bin_must, lost=lost)
