"""Every score of rows of which only some are known, changed by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


def changed_rows(scores: BoundedScores, change: Change, vocab: int) -> Iterator[ChangedRow]:
    """Each row after ``change`` was given its scores twice, at least and at most, ``[2, vocab]``.

    Raises ``Unknown`` where it raises more tokens that are not known than can be followed.
    """
    filled = scores.bin_may & (scores.counts > 0)
    ceilings = np.where(filled, scores.top, -np.inf).max(-1, initial=-1e4)
    floors = np.minimum(np.where(filled, scores.bottom, np.inf).min(-1), ceilings)
    floors = np.where(np.isfinite(floors) & (scores.strayed[:, 0] == 0), floors, -1e4)
    before = np.empty((2, vocab), dtype=np.float32)
    differ = np.empty((2, vocab), dtype=np.bool_)
    for row, ids in enumerate(scores.ids):
        real = np.flatnonzero(ids >= 0)
        known, ceiling, open_ = ids[real], float(ceilings[row]), bool(filled[row].any())
        before[0], before[1] = floors[row], ceiling
        before[0, known], before[1, known] = scores.low[row, real], scores.high[row, real]
        after = np.asarray(change(before, row))
        moved = np.not_equal(after, before, out=differ)[0]
        moved |= differ[1]
        was = real[moved[known]]
        moved[known] = False
        # Where no bin is left, the unknown tokens were removed before.
        strangers = np.flatnonzero(moved) if open_ else real[:0]
        most = after[1, strangers]
        raised = strangers[most > ceiling]
        if len(raised) > _LISTED:
            raise Unknown("it raises more tokens than were recorded.")
        left = vocab - len(known) - np.count_nonzero(most == -np.inf)
        closed = bool(left <= _LISTED) or not open_  # so few unknown ones that each is named
        if closed and open_:
            raised = np.setdiff1d(np.flatnonzero(after[1] > -np.inf), known)
        yield _changed(scores, row, was, after, raised, ceiling, len(strangers), closed)


def _changed(
    scores: BoundedScores, row: int, was: NDArray[np.intp], after: NDArray[np.float32],
    raised: NDArray[np.intp], ceiling: float, strayed: int, closed: bool,
) -> ChangedRow:  # fmt: skip
    """A row with new scores of the known tokens at ``was``, and the unknown ``raised`` ones."""
    ids, may, must = scores.ids[row], scores.may[row], scores.must[row]
    low, high = scores.low[row], scores.high[row]
    if closed:
        may = may & (ids >= 0)
    shadows = was[:0]
    if len(was):
        own = after[:, ids[was]]
        # Of what stood for the unknown ones, only a token outside of the likeliest can be missed.
        shadows = was[own[1] < high[was]]
        shadows = shadows[(high[shadows] <= ceiling) & (not closed)]
        low, high, may, must = low.copy(), high.copy(), may.copy(), must.copy()
        low[was], high[was] = own
        gone = was[~(own[1] > -np.inf)]
        may[gone] = must[gone] = False
    if not len(shadows) and not len(raised):
        return ChangedRow(ids, low, high, may, must, float(strayed), closed)
    return ChangedRow(
        np.concatenate([ids, -2 - ids[shadows], raised]),
        np.concatenate([low, scores.low[row, shadows], np.full(len(raised), -np.inf)]),
        np.concatenate([high, scores.high[row, shadows], after[1, raised]]),
        np.concatenate([may, scores.may[row, shadows], np.ones(len(raised), bool)]),
        np.concatenate([must, np.zeros(len(shadows) + len(raised), bool)]),
        float(strayed),
        closed,
    )
