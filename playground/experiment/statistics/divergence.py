"""How near one set of texts is to another, by a divergence frontier (Pillutla et al. 2021, MAUVE).

Both are quantised together: their features, of length 1, by the directions that hold 90 % of their
variance, are put into clusters by k-means. The score is the area under the curve of what either
lacks of mixtures of the two; it is 1 where both are the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from playground.experiment.statistics.interval import Array

SCALE = 5.0  # the paper's c
MIXTURES = 25
_SEED = 20_240_609  # of k-means: the same features give the same clusters
_VARIANCE = 0.9
_TRIES = 5  # of k-means, of which the tightest clusters are taken
_STEP = 1e-6  # of a derivative


def clustered(features: NDArray[Any], count: int) -> NDArray[np.int64]:
    """The cluster of each of ``[texts, width]``: a number below ``count``.

    There are fewer where features are the same.
    """
    from scipy.cluster import vq  # takes a second, which a page need not wait for

    points = np.asarray(features, dtype=np.float64)
    points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    points = points - points.mean(axis=0)
    lengths, axes = np.linalg.eigh(points.T @ points)
    lengths, axes = np.maximum(lengths[::-1], 0), axes[:, ::-1]
    if not lengths.sum() > 0:
        return np.zeros(len(points), dtype=np.int64)
    kept = int(np.argmax(np.cumsum(lengths) >= _VARIANCE * lengths.sum())) + 1
    points = points @ axes[:, :kept]
    centres, _ = vq.kmeans(points, count, iter=_TRIES, rng=np.random.default_rng(_SEED))
    return np.asarray(vq.vq(points, centres)[0], dtype=np.int64)


def mauve(p: Array, q: Array) -> Array:
    """The area under the frontier of histograms ``[…, clusters]`` that sum to 1."""
    weights = np.linspace(1e-6, 1 - 1e-6, MIXTURES)
    mixed = [weight * p + (1 - weight) * q for weight in weights]
    x = np.exp(-SCALE * np.stack([_lack(q, mixture) for mixture in mixed]))
    y = np.exp(-SCALE * np.stack([_lack(p, mixture) for mixture in mixed]))
    one, nothing = np.ones_like(x[:1]), np.zeros_like(x[:1])
    x, y = np.concatenate([one, x, nothing]), np.concatenate([nothing, y, one])
    return ((x[:-1] - x[1:]) * (y[:-1] + y[1:])).sum(axis=0) / 2  # type: ignore[no-any-return]


def shares(places: NDArray[np.int64], reference: NDArray[np.int64], clusters: int) -> Array:
    """What each text makes of the score: numbers ``[prompts, texts]`` with it as their mean.

    ``places`` are the clusters of a recipe's texts, ``reference`` those of the reference texts,
    ``[prompts, any number]``; -1 where there is no text, NaN in the answer. A prompt counts as much
    as any other, as the mean of its texts. One that either side has not is left out.

    A text's number is the score and what that would move by, were there more like this text and
    those of its prompt's reference: so its spread over prompts is about that of the score.
    """
    both = np.asarray((places >= 0).any(axis=1) & (reference >= 0).any(axis=1))
    p, q = (_histogram(side[both], clusters) for side in (places, reference))
    of_p, of_q = influences(p, q)
    there = np.asarray(reference >= 0)
    by_reference = np.where(there, of_q[reference], 0.0).sum(axis=1)
    by_reference /= np.maximum(there.sum(axis=1), 1)
    found = float(mauve(p, q)) + of_p[places] + by_reference[:, None]
    return np.where((places >= 0) & both[:, None], found, np.nan)


def _histogram(places: NDArray[np.int64], clusters: int) -> Array:
    there = np.asarray(places >= 0)
    weights = there / (np.maximum(there.sum(axis=1, keepdims=True), 1) * len(places))
    found: Any = np.bincount(places[there], weights[there], minlength=clusters)
    return found  # type: ignore[no-any-return]


def influences(p: Array, q: Array) -> tuple[Array, Array]:
    """By how much a text more in each cluster moves the score, per its share: of p's, of q's.

    The infinitesimal jackknife (Jaeckel 1972): weighted by its histogram, each sums to 0. 0 for
    clusters that a histogram has nothing in.
    """
    return _derivatives(p, q), _derivatives(q, p)  # the score is the same either way round


def _derivatives(p: Array, q: Array) -> Array:
    there = np.flatnonzero(p)
    ends = []
    for step in (_STEP, -_STEP):
        moved = np.repeat((1 - step) * p[None], len(there), axis=0)
        moved[np.arange(len(there)), there] += step
        ends.append(mauve(moved, q))
    found = np.zeros_like(p)
    found[there] = (ends[0] - ends[1]) / (2 * _STEP)
    return found


def _lack(p: Array, mixture: Array) -> Array:
    """The Kullback-Leibler divergence of a histogram from a mixture that has all it has."""
    ratio = np.where(p > 0, p, 1.0) / np.where(p > 0, mixture, 1.0)
    return (p * np.log(ratio)).sum(axis=-1)  # type: ignore[no-any-return]
