"""The highest scores of a row, and the tokens left in it, without looking at every token.

A group's maximum is cheap. What costs more (sorting a token, comparing it, computing its noise) is
then done for the groups that matter alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_DEPTH = 16  # tokens of a group
_RUN = 64  # tokens of a run, whose tokens are neighbours


def topk(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` highest scores of each row ``[n, vocab]``, falling, and their tokens.

    Both are ``[n, count]``, as ``torch.topk`` gives them; equal scores are in no particular order.
    The tokens are dealt into groups. Those sought lie in the ``count`` groups of the highest
    maxima, since any other group has ``count`` tokens above its own best.
    """
    vocab = scores.shape[-1]
    groups = vocab // _DEPTH
    if groups < 4 * count:  # most groups would be chosen
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


def argmax(scores: Tensor) -> Tensor:
    """The token ``[n]`` of each row's highest score ``[n, vocab]``, the first of equal ones."""
    vocab = scores.shape[-1]
    groups = vocab // _RUN
    if groups < _RUN:
        return scores.argmax(-1)
    runs = scores[:, : groups * _RUN].reshape(-1, groups, _RUN)
    best, first = runs.amax(-1).max(-1)
    inside = runs.gather(1, first[:, None, None].expand(-1, 1, _RUN))[:, 0]
    found = first * _RUN + inside.argmax(-1)
    if groups * _RUN == vocab:
        return found
    rest, last = scores[:, groups * _RUN :].max(-1)
    return torch.where(rest > best, last + groups * _RUN, found)


class GroupMaxima:
    """The highest score of each group of tokens of rows ``[n, vocab]``.

    ``highest`` is ``[n, any]``: the maxima of the groups, then the few tokens that no group has.
    """

    def __init__(self, scores: Tensor) -> None:
        self.scores = scores
        self._groups = scores.shape[-1] // _DEPTH
        self._whole = _DEPTH * self._groups
        self.highest = scores[:, : self._whole].reshape(len(scores), _DEPTH, -1).amax(1)
        if self._whole < scores.shape[-1]:
            self.highest = torch.cat([self.highest, scores[:, self._whole :]], dim=-1)

    def survivors(self, most: int, able: Sequence[bool]) -> tuple[Tensor, Tensor]:
        """The tokens left in each row, and others of their groups: rows and tokens.

        Both are ``[any]``, int64, a row's tokens in rising order. A row gives none where its groups
        hold more than ``most`` tokens, nor where it is not ``able``.
        """
        vocab, device = self.scores.shape[-1], self.scores.device
        grouped, may = self.highest[:, : self._groups], torch.tensor(able, device=device)
        if device.type == "cpu" and self._whole > most:
            may &= grouped.amin(-1) == -torch.inf
            if not may.any():  # as where nothing was cut off: the rest takes ten times as long
                none = torch.empty(0, dtype=torch.int64)
                return none, none
        kept = grouped > -torch.inf
        few = (kept.sum(-1) * _DEPTH <= most) & may
        rows, kept_groups = (kept & few[:, None]).nonzero(as_tuple=True)
        first = torch.arange(_DEPTH, device=device)[:, None] * self._groups
        tokens = (first + kept_groups).flatten()
        rows = rows.repeat(_DEPTH)
        if self._whole == vocab:
            return rows, tokens
        rest = torch.arange(self._whole, vocab, device=device)
        others = few.nonzero().flatten()
        return (
            torch.cat([rows, others.repeat_interleave(len(rest))]),
            torch.cat([tokens, rest.repeat(len(others))]),
        )

    def best(self) -> tuple[Tensor, Tensor]:
        """Each row's highest score ``[n]``, and the tokens ``[n, any]`` of its group.

        A score of NaN is the highest of all.
        """
        top, at = self.highest.max(-1)
        tokens = at[:, None] + self._groups * torch.arange(_DEPTH, device=at.device)
        alone = (at >= self._groups)[:, None]  # in no group
        return top, torch.where(alone, at[:, None] + self._whole - self._groups, tokens)

    def at_least(self, bars: Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The tokens whose score is at least the row's bar ``[n, 1]``: rows and tokens ``[any]``.

        They are in no particular order. The scores are on a CPU, where this is faster with numpy.
        """
        rows, columns = np.divmod(
            np.flatnonzero((self.highest >= bars).numpy()), self.highest.shape[-1]
        )
        alone = columns >= self._groups
        grouped = columns[~alone]
        inside = (grouped + self._groups * np.arange(_DEPTH)[:, None]).flatten()
        tokens = np.concatenate([inside, columns[alone] + (self._whole - self._groups)])
        rows = np.concatenate([np.tile(rows[~alone], _DEPTH), rows[alone]])
        kept = self.scores.numpy()[rows, tokens] >= bars.numpy()[rows, 0]
        return rows[kept], tokens[kept]
