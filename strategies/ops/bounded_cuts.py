"""Cuts that go by the whole distribution, where only some scores of it are known.

Each takes ``Bounded`` scores and tells, of what it would remove from the whole rows, what it surely
and what it maybe removes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .bounded import LOOSE, NEAR, Bools, Bounded, Floats, Unknown

_ROWS = 16  # whose tokens are compared with each other at once, so that a cache holds them


def deviation(scores: Bounded) -> tuple[Floats, Floats]:
    """The standard deviation of each row's scores, at least and at most, ``[rows, 1]``.

    Raises ``Unknown`` where it is open which tokens are left, or how low the lowest are.
    """
    counts = np.where(scores.bin_may, scores.counts, 0.0)
    filled = counts > 0
    known = scores.must & (scores.ids >= 0)
    open_ = ((scores.may != scores.must) & (scores.ids >= 0)).any() or scores.strayed.any()
    if open_ or ((scores.bin_may != scores.bin_must) & filled).any():
        raise Unknown("how widely the scores spread depends on tokens that were not recorded.")
    bottom = np.where(filled, scores.bottom, scores.top)
    if not np.isfinite(bottom).all() or not (scores.low == scores.high)[known].all():
        raise Unknown("how low the lowest scores are was not recorded.")
    least = np.where(filled, scores.mean_low, bottom)
    most = np.where(filled, scores.mean_high, bottom)
    exact = np.where(known, scores.low, 0.0)
    total = known.sum(-1, keepdims=True) + counts.sum(-1, keepdims=True)
    means = [
        (exact.sum(-1, keepdims=True) + (counts * edge).sum(-1, keepdims=True)) / total
        for edge in (least, most)
    ]
    centre = (means[0] + means[1]) / 2
    around = np.where(known, (exact - centre) ** 2, 0.0).sum(-1, keepdims=True)
    apart = [np.abs(edge - centre) for edge in (least, most)]
    straddles = (least <= centre) & (most >= centre)
    nearest = np.where(straddles, 0.0, np.minimum(*apart))
    # Within its bin a token is off the mean by no more than this, squared and on average.
    within = np.maximum((scores.top - least) * (most - bottom), 0.0) * filled
    low = around + (counts * nearest**2).sum(-1, keepdims=True)
    high = around + (counts * (np.maximum(*apart) ** 2 + within)).sum(-1, keepdims=True)
    off = ((means[1] - means[0]) / 2) ** 2  # of the centre from the mean
    return np.sqrt(np.maximum(low / total - off, 0.0)) - LOOSE, np.sqrt(high / total) + LOOSE


def typical(scores: Bounded, mass: float) -> Bounded:
    """The tokens whose surprise is nearest to the entropy, until they hold ``mass``."""
    low, high, least, most = scores.weights()
    middle_low, middle_high = scores.mean_score()
    middle, loose = (middle_low + middle_high) / 2, (middle_high - middle_low) / 2
    near, far = _distances(
        np.concatenate([scores.low, scores.bottom], -1),
        np.concatenate([scores.high, scores.top], -1),
        middle,
        loose + NEAR * (1 + np.abs(middle)),
    )
    least_held, most_held = (np.concatenate(pair, -1) for pair in ((low, least), (high, most)))
    values = np.concatenate([scores.low, np.full_like(scores.bottom, np.nan)], -1)
    exact = np.concatenate([scores.low == scores.high, np.zeros_like(scores.bin_may)], -1)
    before_least, before_most, rest_least, rest_most = np.zeros((4, *near.shape))
    for first in range(0, len(near), _ROWS):
        at = slice(first, first + _ROWS)
        equal = exact[at, None, :] & exact[at, :, None]
        equal &= values[at, None, :] == values[at, :, None]
        sure = far[at, None, :] < near[at, :, None]
        maybe = (near[at, None, :] < far[at, :, None]) & ~equal
        for which, held, sums in (
            (sure, least_held, before_least),
            (maybe, most_held, before_most),
            (~sure, most_held, rest_most),
            (~maybe, least_held, rest_least),
        ):
            sums[at] = np.matmul(which.astype(float), held[at, :, None])[:, :, 0]
    may = before_least < (mass + LOOSE) * (before_least + rest_most)
    must = before_most < (mass - LOOSE) * (before_most + rest_least)
    known = scores.low.shape[1]
    return without(scores, may[:, :known], must[:, :known], may[:, known:], must[:, known:])


def _distances(low: Floats, high: Floats, middle: Floats, loose: Floats) -> tuple[Floats, Floats]:
    """How near and how far from the middle, give or take ``loose``, a score may lie."""
    near = np.maximum(np.maximum(middle - high, low - middle), 0.0)
    far = np.maximum(np.abs(middle - low), np.abs(middle - high))
    return near - loose, far + loose


def without_top(scores: Bounded, threshold: float, spared: Sequence[int], acting: Bools) -> Bounded:
    """Without the tokens of at least that probability but for the least likely of them.

    In rows that are not ``acting``, and in those where a ``spared`` token would go, none does.
    """
    (total_low, total_high), real = scores.log_total(), scores.ids >= 0
    total_low = np.maximum(total_low, -1e300)  # nothing may surely be left
    bar = np.log(threshold) if threshold > 0 else -np.inf
    sure_good = scores.must & real & (scores.low - total_high >= bar + NEAR)
    may_good = scores.may & real & (scores.high - total_low >= bar - NEAR)
    bins_good = scores.bin_may & (scores.counts > 0) & (scores.top - total_low >= bar - NEAR)
    lowest_sure = np.where(sure_good, scores.high, np.inf).min(-1, keepdims=True)
    lowest_may = np.where(may_good, scores.low, np.inf).min(-1, keepdims=True)
    bottom = np.where(bins_good, scores.bottom, np.inf).min(-1, keepdims=True)
    lowest_may = np.minimum(lowest_may, bottom)
    gone = sure_good & (scores.low > lowest_sure)
    maybe = may_good & (scores.high > lowest_may)
    bins_maybe = bins_good & (scores.top > lowest_may)
    kept = np.isin(scores.ids, list(spared))
    stays = (gone & kept).any(-1)  # surely none goes
    missing = np.array([bool(set(spared) - set(row.tolist())) for row in scores.ids])
    unsure = (maybe & kept).any(-1) | (bins_maybe.any(-1) & missing)
    acts = (acting & ~stays)[:, None]
    gone, maybe, bins_maybe = gone & acts & ~unsure[:, None], maybe & acts, bins_maybe & acts
    every = np.ones_like(scores.bin_may)
    return without(scores, ~gone, ~maybe, every, ~bins_maybe)


def likely_entropy(scores: Bounded, share: float, head: int) -> Bounded:
    """The likeliest tokens while their entropy is at most a ``share`` of that of the ``head``.

    Probabilities are those among the ``head`` likeliest.
    """
    low, high = (np.minimum(edge, scores.best_high) for edge in scores.ranked(head))
    depth_least, depth_most = scores.base - high, scores.base - low
    depth_most = np.minimum(depth_most, 1e4)
    depth_least = np.minimum(depth_least, depth_most)
    weights = [np.exp(-depth_most), np.exp(-depth_least)]
    totals = [weight.sum(-1, keepdims=True) for weight in weights]
    logs = [np.log(np.maximum(total, 1e-300)) for total in totals]
    # -p log p is (log of the total + depth) / total, of which the total is the same for all.
    surprise = [
        np.maximum(log + d, 0.0) for log, d in zip(logs, (depth_least, depth_most), strict=True)
    ]
    own = [weight * nats for weight, nats in zip(weights, surprise, strict=True)]
    grown = [np.cumsum(part, -1) for part in own]
    surely = (grown[1] <= share * grown[0][:, -1:] * (1 - LOOSE)).sum(-1, keepdims=True)
    maybe = (grown[0] <= share * grown[1][:, -1:] * (1 + LOOSE)).sum(-1, keepdims=True)
    return scores.ranks(np.maximum(surely, 1), np.maximum(maybe, 1))


def without(scores: Bounded, may: Bools, must: Bools, bin_may: Bools, bin_must: Bools) -> Bounded:
    """With these tokens and bins left, of which likelier ones may have gone than stay.

    A token that was known in place of unknown ones may be among them: then something stands for
    the best that those could be, as far as any of their bins is left.
    """
    may, must = scores.may & may, scores.must & must
    bin_may, bin_must = scores.bin_may & bin_may, scores.bin_must & bin_must
    filled = (scores.counts > 0) & bin_may
    ceiling = np.where(scores.counts > 0, scores.top, -np.inf).max(-1, keepdims=True)
    # How high a token of a bin can be that lies no higher than a token.
    below = filled[:, None, :] & (scores.bottom[:, None, :] <= scores.high[:, :, None])
    reach = np.where(below, scores.top[:, None, :], -np.inf).max(-1)
    reach = np.minimum(reach, scores.high)
    real = scores.ids >= 0
    shadows = real & scores.may & ~must & (scores.high <= ceiling) & (reach > -np.inf)
    stands = scores.ids < -1
    high = np.where(stands, reach, scores.high)
    may = np.where(stands, scores.may & (reach > -np.inf), may)
    must = must & ~stands
    return replace(
        scores,
        ids=np.concatenate([scores.ids, np.where(shadows, -2 - scores.ids, -1)], -1),
        low=np.concatenate([np.where(stands, np.minimum(scores.low, high), scores.low), reach], -1),
        high=np.concatenate([high, reach], -1),
        may=np.concatenate([may, shadows], -1),
        must=np.concatenate([must, np.zeros_like(must)], -1),
        bin_may=bin_may,
        bin_must=bin_must,
    )
