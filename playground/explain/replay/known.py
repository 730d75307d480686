"""What a trace records of the logits behind each token of a text, as bounds to apply recipes to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from playground.trace import StepRecord
from playground.trace.logits import FINE, STARTS, Logits, unpack
from strategies.ops.bounded import Bounded
from strategies.ops.noise import gumbel_of_steps

_ROUNDED = 1e-5  # nats that an edge of a bin may be off, since depths were float32


class NotRecorded(Exception):
    """The trace does not hold what is needed; the message is a sentence that names it."""


def known_scores(path: Sequence[StepRecord], seed: int, sample: int, before: int = 0) -> Bounded:
    """The model's logits of every step, as far as they were recorded.

    ``before`` is the number of tokens of the prefix, by which the noise's positions are shifted.
    Raises ``NotRecorded`` where no logits were recorded.
    """
    if any(not step.logits for step in path):
        raise NotRecorded(
            "The trace does not hold the logits that this needs: they are kept where the search "
            "takes or draws the next token by itself, with 8 candidates or more."
        )
    read = [unpack(step.logits, step.candidates.ids) for step in path]
    width = max(len(logits.ids) for logits in read) + 1
    shape = (len(read), width)
    ids, scores = np.full(shape, -1, np.int64), np.full(shape, -np.inf)
    may = np.zeros(shape, np.bool_)
    for row, logits in enumerate(read):
        count = len(logits.ids)
        ids[row, :count] = logits.ids
        scores[row, :count] = logits.values
        may[row, :count] = np.isfinite(logits.values)
    must = may.copy()
    # No unknown token has a higher logit than the last of the likeliest, nor, but for those that
    # one of the other known ones beats in both, more noise than the most that these have.
    likeliest = np.array([logits.likeliest for logits in read])
    own = ids[:, : likeliest.max()]
    noise = _noise([before + step.index for step in path], np.maximum(own, 0), seed, sample)
    noise[np.arange(own.shape[1]) >= likeliest[:, None]] = -np.inf
    rows = np.arange(len(read))
    ids[:, -1] = -2 - own[rows, noise.argmax(-1)]
    scores[:, -1] = scores[rows, likeliest - 1]
    may[:, -1] = [bool(logits.counts.any()) for logits in read]
    return Bounded(
        ids=ids,
        low=scores,
        high=scores.copy(),
        may=may,
        must=must,
        strayed=np.zeros((len(read), 1)),
        lost=np.zeros(len(read), np.bool_),
        **_bins(read),
    )


def _bins(read: Sequence[Logits]) -> dict[str, NDArray[Any]]:
    """The fields of ``Bounded`` that describe bins: counts, edges, means, and which are filled."""
    best = np.array([[float(logits.values[0])] for logits in read])
    last = np.array([[float(logits.values[logits.likeliest - 1])] for logits in read])
    counts = np.array([logits.counts for logits in read], np.float64)
    means = np.array([logits.means for logits in read])
    slack = read[0].slack * np.diff(STARTS)
    top = np.minimum(best - STARTS[:-1] / FINE + _ROUNDED, last)
    bottom = np.minimum(best - STARTS[1:] / FINE - _ROUNDED, last)
    mean_low = np.clip(best - (means + slack) / FINE - _ROUNDED, bottom, top)
    mean_high = np.clip(best - (means - slack) / FINE + _ROUNDED, bottom, top)
    ends = np.minimum([logits.deepest for logits in read], bottom[:, -2])
    bottom[:, -1] = mean_low[:, -1] = ends
    mean_high[:, -1] = top[:, -1]
    filled = counts > 0
    return {
        "counts": counts,
        "bottom": bottom,
        "top": top,
        "mean_low": mean_low,
        "mean_high": mean_high,
        "bin_may": filled,
        "bin_must": filled.copy(),
    }


def noise_of(
    scores: Bounded, path: Sequence[StepRecord], seed: int, sample: int, before: int = 0
) -> NDArray[np.float64]:
    """The noise of every known token, and a bound on that of unknown ones, ``[rows, known]``."""
    ids = np.where(scores.ids < -1, -2 - scores.ids, np.maximum(scores.ids, 0))
    return _noise([before + step.index for step in path], ids, seed, sample)


def _noise(
    positions: Sequence[int], ids: NDArray[np.int64], seed: int, sample: int
) -> NDArray[np.float64]:
    """The noise of these ids ``[rows, any]``, a row's all at its one position."""
    noise = gumbel_of_steps(seed, sample, positions, torch.from_numpy(ids))
    return np.asarray(noise.numpy(), np.float64)
