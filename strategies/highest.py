"""The highest scores of a row, found by looking into few of its tokens."""

from __future__ import annotations

import torch
from torch import Tensor

_DEPTH = 16  # tokens of a group


def highest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` highest of each row ``[n, vocab]``, falling, and their tokens: ``[n, count]``.

    Tokens are dealt into groups. Those sought lie in the ``count`` groups whose best are highest:
    any other group's best has as many above it. Equal scores are in no particular order.
    """
    vocab = scores.shape[-1]
    groups = vocab // _DEPTH
    if groups < 4 * count:  # most would be looked into
        values, tokens = scores.topk(count, dim=-1)
        return values, tokens
    whole = _DEPTH * groups
    dealt = scores[:, :whole].reshape(-1, _DEPTH, groups)
    chosen = dealt.amax(1).topk(count, dim=-1, sorted=False).indices
    found = dealt.gather(2, chosen[:, None].expand(-1, _DEPTH, -1)).flatten(1)
    if whole < vocab:  # the few that no group has
        found = torch.cat([found, scores[:, whole:]], dim=-1)
    top = found.topk(count, dim=-1)
    at = top.indices
    tokens = at // count * groups + chosen.gather(-1, at % count)
    if whole < vocab:
        tokens = torch.where(at < _DEPTH * count, tokens, at + (whole - _DEPTH * count))
    return top.values, tokens
