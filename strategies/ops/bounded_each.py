"""Every score of rows of which only some are known, changed by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bounded_scores import Bools, BoundedScores, Floats, Unknown

Change = Callable[[NDArray[np.float32], int], Any]

_LISTED = 64  # tokens that were not recorded and are named one by one


@dataclass(frozen=True)
class ChangedRow:
    """One row's tokens after the change; ``closed`` where each that is left is named.

    So many as ``strayed`` of the tokens in bins may lie below their bin by now.
    """

    ids: NDArray[np.int64]
    low: Floats
    high: Floats
    may: Bools
    must: Bools
    strayed: float
    closed: bool


def changed_row(scores: BoundedScores, row: int, change: Change, vocab: int) -> ChangedRow:
    """A row after ``change`` was given its scores twice, at least and at most, ``[2, vocab]``.

    Raises ``Unknown`` where it raises more tokens that are not known than can be followed.
    """
    ids, low, high = scores.ids[row], scores.low[row], scores.high[row]
    may, must = scores.may[row], scores.must[row]
    real = np.flatnonzero(ids >= 0)
    known = ids[real]
    filled = scores.bin_may[row] & (scores.counts[row] > 0)
    ceiling = float(scores.top[row][filled].max(initial=-1e4))
    floor = float(scores.bottom[row][filled].min(initial=ceiling))
    before = np.empty((2, vocab), dtype=np.float32)
    before[0] = floor if np.isfinite(floor) and not scores.strayed[row, 0] else -1e4
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
    extra_low, extra_high = scores.low[row][shadows], scores.high[row][shadows]
    low[was], high[was] = after[0, known[touched]], after[1, known[touched]]
    gone = was[~(high[was] > -np.inf)]
    may[gone] = must[gone] = False
    return ChangedRow(
        np.concatenate([ids, -2 - ids[shadows], raised]),
        np.concatenate([low, extra_low, np.full(len(raised), -np.inf)]),
        np.concatenate([high, extra_high, after[1, raised]]),
        np.concatenate([may, scores.may[row][shadows], np.ones(len(raised), bool)]),
        np.concatenate([must, np.zeros(len(shadows) + len(raised), bool)]),
        float(len(strangers)),
        closed,
    )
