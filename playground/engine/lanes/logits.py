"""Which of the model's logits are kept of a step, so that other settings can be tried on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from playground.trace.logits import FINE, PARTS, STARTS, Logits, pack

FEWEST = 8  # candidates, below which so many others could be drawn that none are kept
_MIDDLES = (np.arange(STARTS[-1] * PARTS) + 0.5) / PARTS


def known_logits(
    row: Tensor, candidates: Sequence[int], top_n: int, bits: NDArray[np.uint64]
) -> str:
    """What is kept of a row of logits, float32 ``[vocab]``, packed; nothing where some are NaN.

    ``candidates`` are in falling order, the ``top_n`` likeliest first; ``bits`` rise with each
    token's noise.
    """
    logits = row.float().cpu().numpy()
    if not np.isfinite(logits.max()):
        return ""
    likeliest = min(top_n, len(candidates))
    outdone = bits[list(candidates[:likeliest])].max()
    others = sorted(set(_frontier(logits, bits, outdone)).difference(candidates))
    ids = np.array([*candidates, *others], dtype=np.int64)
    counts, means = _binned(logits, ids)
    return pack(Logits(ids, logits[ids], likeliest, counts, means), len(candidates))


def _frontier(
    logits: NDArray[np.float32], bits: NDArray[np.uint64], outdone: np.uint64
) -> list[int]:
    """Tokens with more noise than ``outdone`` that none has both a higher logit and more noise
    than: about ln(vocab) of them.
    """
    left = np.flatnonzero(bits > outdone)
    values, noise = logits[left], bits[left]
    found = []
    while len(left):
        at = int(values.argmax())
        found.append(int(left[at]))
        more = noise > noise[at]
        left, values, noise = left[more], values[more], noise[more]
    return found


def _binned(
    logits: NDArray[np.float32], known: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """How many tokens besides the ``known`` lie in each bin, and their mean depth in fine bins.

    They are counted in ``PARTS`` of each fine bin, and taken to lie in the middle of theirs: a
    second pass for their sum would cost as much as the first.
    """
    depth = logits.max() - logits
    depth *= np.float32(FINE * PARTS)
    np.minimum(
        depth, np.float32(STARTS[-2] * PARTS), out=depth
    )  # in place: fresh memory costs more
    part = depth.astype(np.intp)
    times = np.bincount(part, minlength=int(STARTS[-1]) * PARTS)
    np.subtract.at(times, part[known], 1)
    counts = np.add.reduceat(times, STARTS[:-1] * PARTS)
    sums = np.add.reduceat(times * _MIDDLES, STARTS[:-1] * PARTS)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), STARTS[:-1])
    return counts, np.clip(means, STARTS[:-1], STARTS[1:])
