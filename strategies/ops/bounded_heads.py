"""Cuts by the shape of the sorted scores, where only the highest of them are known one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .bounded import LOOSE, Bounded, Floats

_HEAD = 64  # highest scores that are looked at
_ALL = 1 << 40  # more tokens than any vocabulary has


@dataclass(frozen=True)
class _Head:
    """The highest scores of a row in falling order, all of them exact.

    ``fewest`` to ``most`` tokens are left in all, and the lowest has a score from ``lowest`` to
    ``ending``. Two tokens that follow each other behind the head differ by no more than ``drop``,
    divided by the rank of the first.
    """

    scores: Floats
    fewest: int
    most: int
    lowest: float
    ending: float
    drop: float

    @property
    def whole(self) -> bool:
        return self.most == len(self.scores)


def by_bends(scores: Bounded, share: float) -> Bounded:
    """The likeliest tokens up to where their sorted probabilities have bent by a ``share``."""
    return _ranked(scores, [_bending(head, share) for head in _heads(scores)])


def by_drop(scores: Bounded, tau: float, smallest: float) -> Bounded:
    """The highest up to the steepest drop, by rank, and at least ``tau`` over the scores' range."""
    return _ranked(scores, [_dropping(head, tau, smallest) for head in _heads(scores)])


def _ranked(scores: Bounded, counts: list[tuple[int, int]]) -> Bounded:
    """With so many tokens left of each row, at least and at most; nothing is known of those with
    none at least.
    """
    edges = np.array(counts, dtype=np.int64)
    lost = scores.lost | (edges[:, 0] == 0)
    return replace(scores.ranks(np.maximum(edges[:, :1], 1), edges[:, 1:]), lost=lost)


def _heads(scores: Bounded) -> Iterator[_Head]:
    low, high = scores.ranked(_HEAD)
    exact = (low == high) & np.isfinite(low)
    lengths = np.cumprod(exact, -1).sum(-1)
    fewest, most = (side[:, 0].astype(np.int64) for side in scores.survivors())
    for row, length in enumerate(lengths.tolist()):
        own = low[row, :length]
        lowest, ending, drop = _tail(scores, row, own)
        yield _Head(own, int(fewest[row]), int(most[row]), lowest, ending, drop)


def _tail(scores: Bounded, row: int, head: Floats) -> tuple[float, float, float]:
    """The lowest score, at least and at most, and the largest drop by rank behind the head."""
    real = scores.ids[row] >= 0
    filled = scores.bin_may[row] & (scores.counts[row] > 0)
    sure = scores.bin_must[row] & (scores.counts[row] > 0)
    bottom, top = scores.bottom[row], scores.top[row]
    lowest = min(
        bottom[filled].min(initial=np.inf),
        scores.low[row][scores.may[row] & real].min(initial=np.inf),
    )
    ending = min(
        top[sure].min(initial=np.inf), scores.high[row][scores.must[row] & real].min(initial=np.inf)
    )
    if not len(head) or not filled.any():
        return lowest, ending, (float(head[-1]) - lowest) / len(head) if len(head) else np.inf
    if scores.strayed[row].any() or (filled != sure).any():
        return lowest, ending, (float(head[-1]) - lowest) / len(head)
    counts, own_top, own_bottom = scores.counts[row][filled], top[filled], bottom[filled]
    last = len(head) + np.cumsum(counts)  # the least rank of a bin's last token
    following = np.append(own_bottom[1:], own_bottom[-1])
    drops = [
        (float(head[-1]) - own_bottom[0]) / len(head),
        ((own_top - own_bottom) / (last - counts + 1)).max(),
        ((own_top - following) / last).max(),
    ]
    return lowest, ending, float(max(drops))


def _bending(head: _Head, share: float) -> tuple[int, int]:
    length = len(head.scores)
    if head.most <= 2:
        return head.fewest, head.most
    if length < 3:
        return min(length, 1), _ALL
    weights = np.exp(head.scores - head.scores[0])
    bends = np.cumsum(np.abs(np.diff(np.diff(weights))))
    # What the tail may still bend is at most twice the height it begins at.
    total = bends[-1] + np.array([0.0, 0.0 if head.whole else 2 * weights[-2]])
    bars = share * total + np.array([-1.0, 1.0]) * (LOOSE + 2 * LOOSE * total)
    low, high = np.searchsorted(bends, bars, side="right").tolist()
    beyond = high >= len(bends) and not head.whole
    return low + 1, _ALL if beyond else high + 1


def _dropping(head: _Head, tau: float, smallest: float) -> tuple[int, int]:
    length = len(head.scores)
    if not length:
        return 0, _ALL
    drops: NDArray[np.float64] = -np.diff(head.scores) / np.arange(1, length)
    steepest = float(drops.max(initial=0.0))
    # Float32 has the scores' differences to some millionths of their size.
    near = LOOSE * (1 + float(np.abs(head.scores).max()))
    likely = np.flatnonzero(drops >= steepest - near) if length > 1 else np.array([0])
    fewest, most = int(likely[0]) + 1, int(likely[-1]) + 1
    if not head.whole and (length == 1 or steepest - near <= head.drop):
        most = _ALL
        if length == 1 or head.drop > steepest + near:
            fewest = min(fewest, length)
    wide, narrow = float(head.scores[0]) - head.lowest, float(head.scores[0]) - head.ending
    least = int(tau / (wide + smallest + near)) if np.isfinite(wide) else 0
    greatest = int(min(tau / max(narrow + smallest - near, 1e-12), _ALL))
    return min(head.fewest, max(fewest, least)), min(head.most, max(most, greatest))
