"""Which of the model's logits are kept of a step, so that other settings can be tried on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from playground.trace.logits import FINE, STARTS, Logits, pack

FEWEST = 8  # candidates, below which so many others could be drawn that none are kept


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
    own = np.array(candidates, dtype=np.int64)
    likeliest = min(top_n, len(own))
    outdone = bits[own[:likeliest]].max()
    ids = np.concatenate([own, np.setdiff1d(_frontier(logits, bits, outdone), own)])
    counts, means = _binned(logits, ids)
    return pack(Logits(ids, logits[ids], likeliest, counts, means), len(own))


def _frontier(
    logits: NDArray[np.float32], bits: NDArray[np.uint64], outdone: np.uint64
) -> NDArray[np.int64]:
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
    return np.array(found, dtype=np.int64)


def _binned(
    logits: NDArray[np.float32], known: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """How many tokens besides the ``known`` lie in each bin, and their mean depth in fine bins."""
    depth = logits.max() - logits
    depth *= np.float32(FINE)
    np.minimum(depth, np.float32(STARTS[-2]), out=depth)  # in place: fresh memory costs more
    fine = depth.astype(np.int32)
    size = int(STARTS[-1])
    counts = np.bincount(fine, minlength=size)
    sums = np.bincount(fine, depth, minlength=size)
    counts -= np.bincount(fine[known], minlength=size)
    sums -= np.bincount(fine[known], depth[known], minlength=size)
    counts = np.add.reduceat(counts, STARTS[:-1])
    sums = np.add.reduceat(sums, STARTS[:-1])
    means = np.where(counts > 0, sums / np.maximum(counts, 1), STARTS[:-1])
    return counts, np.clip(means, STARTS[:-1], STARTS[1:])
