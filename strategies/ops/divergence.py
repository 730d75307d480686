"""How far the distributions of early layers lie from that of the last."""

from __future__ import annotations

import torch
from torch import Tensor

_DEEP = -80.0  # nats; no weight is less, since arithmetic on denormal numbers is slow
_LOWEST = -1e9  # nats; so that 0 · log 0 is 0


def from_mixture(last: Tensor, early: Tensor) -> Tensor:
    """KL(m ‖ p) + KL(m ‖ q), ``[layers]`` in nats, where m is the even mixture of p and q.

    ``last`` holds the log-probabilities of p ``[1, vocab]``, ``early`` the scores of each q
    ``[layers, vocab]``. The paper of DoLa has KL(p ‖ m) and KL(q ‖ m), of 2 log 2 at most, which
    every layer reaches that is sure of other tokens, as most are that are read without the last
    one's norm.
    """
    # In place in two buffers: fresh memory at every step may cost more than the arithmetic.
    logs = early.log_softmax(-1).clamp_(min=_LOWEST)
    mixture = logs.clamp(min=_DEEP).exp_().add_(last.clamp(min=_DEEP).exp_()).mul_(0.5)
    apart = logs.add_(last).mul_(mixture).sum(-1)
    own = torch.log(mixture, out=logs).mul_(mixture).sum(-1)
    return 2 * own - apart
