"""Token ids: the ones a row has seen, sequences it may complete, and banning some."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from .base import Row

Text = Annotated[str, Field(min_length=1, max_length=100)]  # what names a token, or several in turn

_FIRST = 256


def seen(row: Row, scores: Tensor, *, prompt: bool) -> Tensor:
    """Ids in the row's text in order, repeats included, int64; only those ``scores`` reaches.

    A model may embed more tokens than it can write, so a prompt can hold ids beyond the scores.
    """
    tokens = row.tokens if prompt else row.generated
    if not tokens:
        return torch.empty(0, dtype=torch.int64, device=scores.device)
    # torch.tensor(tuple) takes longer than everything else a penalty does.
    ids = torch.frombuffer(array("q", tokens), dtype=torch.int64).to(scores.device)
    return ids[ids < scores.shape[-1]]


def completes(row: Row, sequence: Sequence[int]) -> bool:
    """Whether the last token of ``sequence`` would complete it here: the others end the row."""
    before = tuple(sequence[:-1])
    return not before or row.tokens[-len(before) :] == before


def ban(scores: Tensor, banned: Sequence[Collection[int]]) -> Tensor:
    """Scores ``[n, vocab]`` with each row's banned ids at −inf.

    A row that would be left with no token at all keeps its scores: something must be written.
    """
    rows = [i for i, ids in enumerate(banned) for _ in ids]
    if not rows:
        return scores
    tokens = [token for ids in banned for token in ids]
    out = scores.clone()
    out[torch.tensor(rows, device=out.device), torch.tensor(tokens, device=out.device)] = -torch.inf
    # Nearly every row has something left among its first tokens: the others are looked at whole.
    for i in (out[:, :_FIRST].amax(-1) == -torch.inf).nonzero().flatten().tolist():
        if out[i].amax() == -torch.inf:
            out[i] = scores[i]
    return out
