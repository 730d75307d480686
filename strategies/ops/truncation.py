"""Removing the tokens that stay below a bar."""

from __future__ import annotations

import torch
from torch import Tensor


def keep_likely(scores: Tensor, probs: Tensor, bar: Tensor | float) -> Tensor:
    """Scores ``[n, vocab]`` with the tokens at −inf whose probability is below the ``bar``.

    The bar is ``[n, 1]``, or one number for all rows. A row's highest score stays wherever it is.
    """
    kept = (probs >= bar) | (scores >= scores.amax(-1, keepdim=True))
    return torch.where(kept, scores, -torch.inf)
