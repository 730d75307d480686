"""Nuclei: the fewest tokens of a row, taken in some order, whose probability reaches a mass."""

from __future__ import annotations

import torch
from torch import Tensor, int32

from .topk import topk

HEAD = 256  # what is sorted of a row; only a flatter one is looked at whole
BINS = 1 << 12  # of like floats: their exponent and four more bits


def least_in_nucleus(probs: Tensor, mass: float) -> Tensor:
    """The probability ``[n]`` of the token at which each row ``[n, vocab]`` reaches ``mass``.

    Sums are float64 and rounded to float32, so that 0.7 + 0.2 reaches 0.9. A row depends on itself
    alone, and none is sorted as a whole. Where rounding keeps the whole below the mass: 0.
    """
    return _reached(probs, probs, mass, falling=True)


def farthest_in_nucleus(distance: Tensor, probs: Tensor, mass: float) -> Tensor:
    """The same in rising order of ``distance`` ``[n, vocab]``, which is 0 or more: its value."""
    return _reached(distance, probs, mass, falling=False)


def _reached(keys: Tensor, probs: Tensor, mass: float, *, falling: bool) -> Tensor:
    count = min(HEAD, keys.shape[-1])
    values, tokens = topk(keys, count) if falling else keys.topk(count, largest=False)
    found, short = _crossing(values, probs.gather(-1, tokens), mass)
    for i in short.nonzero().flatten().tolist():
        found[i] = _far_crossing(keys[i], probs[i], mass, falling)
    return found


def _crossing(
    keys: Tensor, probs: Tensor, mass: float, before: Tensor | float = 0.0
) -> tuple[Tensor, Tensor]:
    """The key ``[…, k]`` whose probability reaches ``mass``; the last, and True, if none does."""
    below = ((probs.double().cumsum(-1) + before).float() < mass).sum(-1)
    at = below.clamp(max=keys.shape[-1] - 1).unsqueeze(-1)
    return keys.gather(-1, at).squeeze(-1), below == keys.shape[-1]


def _far_crossing(keys: Tensor, probs: Tensor, mass: float, falling: bool) -> Tensor | float:
    """The same for one row ``[vocab]``: weigh bins of like keys, sort one of them."""
    bins = (keys.view(int32) >> 19).long()  # they rise as the floats do, from 0 to infinity
    if falling:
        bins = BINS - 1 - bins
    weights = probs.new_zeros(BINS, dtype=torch.float64).scatter_add_(0, bins, probs.double())
    weights = weights.cumsum(0)
    at = int((weights.float() < mass).sum())
    if at == len(weights):  # rounding keeps the whole below the mass
        return 0.0 if falling else torch.inf
    inside = (bins == at).nonzero().flatten()
    order = keys[inside].sort(descending=falling)
    return _crossing(
        order.values, probs[inside[order.indices]], mass, weights[at - 1] if at else 0.0
    )[0]
