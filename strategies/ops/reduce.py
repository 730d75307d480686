"""Sums over the vocabulary whose bits do not depend on how many rows there are.

Torch splits the sum of a row that stands alone between its threads, and gives each thread whole
rows where there are several: the same row then has other last bits alone than among others. Every
function here reduces a row in one way only. ``softmax``, ``log_softmax``, ``amax``, ``topk`` and
``cumsum`` of torch do so by themselves, which the tests of this module hold them to.
"""

from __future__ import annotations

import torch
from torch import Tensor


def row_sums(values: Tensor) -> Tensor:
    """The sum ``[n]`` of each row ``[n, any]``, a lone one summed as it is among others."""
    if len(values) == 1:
        return values.expand(2, -1).sum(-1)[:1]
    return values.sum(-1)


def logsumexp(logits: Tensor) -> Tensor:
    """The logarithm ``[n]`` of each row's summed exponentials ``[n, vocab]``, in nats."""
    if len(logits) == 1:
        return logits.expand(2, -1).logsumexp(-1)[:1]
    return logits.logsumexp(-1)


def entropy(probs: Tensor, logprobs: Tensor) -> Tensor:
    """Each row's entropy ``[n]`` in nats, from its probabilities ``[n, vocab]``."""
    terms = probs * logprobs.clamp(min=-1e4)  # so that 0 · log 0 is 0
    return -_each_alone(terms)


def collision(probs: Tensor) -> Tensor:
    """The probability ``[n]`` that two draws from a row ``[n, vocab]`` agree, in float64."""
    return _each_alone(probs.double().square())


def deviation(scores: Tensor) -> Tensor:
    """The standard deviation ``[n]`` of each row's finite scores, the whole population's."""
    return torch.stack([_deviation(row) for row in scores])


def _each_alone(values: Tensor) -> Tensor:
    """The sum of each row by itself: between the threads for every row, as for a lone one."""
    return torch.stack([row.sum() for row in values])


def _deviation(row: Tensor) -> Tensor:
    finite = row > -torch.inf
    count = finite.sum()
    far = torch.where(finite, row, 0.0).double()
    return torch.where(finite, far - far.sum() / count, 0.0).square().sum().div(count).sqrt()
