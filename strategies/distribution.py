"""One row's distribution as a processor was given it, and by what a processor keeps tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

# By what a processor keeps a token, of the distribution that it is given:
#   probability  it keeps those that have at least the threshold
#   rank         those whose rank, from 1, is at most the threshold
#   mass         those whose likelier ones together hold less than the threshold
#   typicality   those whose surprise is at most the threshold, in nats, away from the entropy
#   ceiling      of those that have at least the threshold, the least likely alone; and all others
Measure = Literal["probability", "rank", "mass", "typicality", "ceiling"]


@dataclass(frozen=True)
class Distribution:
    """One row's distribution: its ``scores`` float32 ``[vocab]``, and what is known of them.

    ``best`` is the log-probability of the likeliest token and ``entropy`` the entropy, both in
    nats; ``survivors`` counts the tokens that no earlier processor removed.
    """

    scores: Tensor
    best: float
    entropy: float
    survivors: int
