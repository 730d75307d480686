"""The token ids of a row: those its text holds, a sequence it would complete, banning some."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from ..base import Row, setting
from .copies import copied

# The setting of how far back a penalty looks.
WINDOW = setting(
    0,
    "How many of the last tokens that count it looks at; 0 looks at all of them.",
    usual=(0, 1024),
    step=32,
    ge=0,
    le=1_000_000,
)


def seen(row: Row, scores: Tensor, *, prompt: bool, window: int = 0) -> Tensor:
    """The ids of the row's text in order, repeats included, int64 ``[any]``.

    Of the last ``window`` tokens, or of all where that is 0; the prompt's are counted if ``prompt``
    says so. Ids beyond ``scores`` are left out: a model may embed more tokens than it can write.
    """
    tokens = (row.tokens if prompt else row.generated)[-window:]
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
    """Scores ``[n, vocab]`` with each row's banned ids at −inf, though no token be left then."""
    rows = [i for i, ids in enumerate(banned) for _ in ids]
    if not rows:
        return scores
    tokens = [token for ids in banned for token in ids]
    out = copied(scores)
    out[torch.tensor(rows, device=out.device), torch.tensor(tokens, device=out.device)] = -torch.inf
    return out
