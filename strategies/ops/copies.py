"""A copy of scores that a processor may write to."""

from __future__ import annotations

import torch
from torch import Tensor

_FEW = 2  # rows


def copied(scores: Tensor) -> Tensor:
    """``scores.clone()``; a row or two, float32 on a CPU, copied by the calling thread alone.

    torch shares a row as long as a vocabulary between its threads. Beside a busy process it waits
    for them much longer than the copy takes, and what a setting changes in one token is looked into
    by some hundred such copies.
    """
    if len(scores) > _FEW or scores.device.type != "cpu" or scores.dtype != torch.float32:
        return scores.clone()
    return torch.from_numpy(scores.detach().numpy().copy())
