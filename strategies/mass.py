"""Where the probabilities of a distribution, taken in falling order, together reach a mass."""

from __future__ import annotations

from torch import Tensor, int32

HEAD = 256  # what is sorted of a row; only a flatter one is looked at whole


def least_within(probs: Tensor, mass: float) -> Tensor:
    """The probability ``[n]`` of the token at which each row ``[n, vocab]`` reaches ``mass``.

    Sums are float64 and rounded to float32, so that 0.7 + 0.2 reaches 0.9. A row depends on itself
    alone, and none is sorted as a whole.
    """
    least, short = _crossing(probs.topk(min(HEAD, probs.shape[-1]), dim=-1).values, mass)
    for i in short.nonzero().flatten().tolist():
        least[i] = _far_crossing(probs[i], mass)
    return least


def _crossing(falling: Tensor, mass: float, before: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
    """The first of ``falling`` ``[…, k]`` to reach ``mass``; the last, and True, if none does."""
    below = ((falling.double().cumsum(-1) + before).float() < mass).sum(-1)
    at = below.clamp(max=falling.shape[-1] - 1).unsqueeze(-1)
    return falling.gather(-1, at).squeeze(-1), below == falling.shape[-1]


def _far_crossing(probs: Tensor, mass: float) -> Tensor | float:
    """The same for one row ``[vocab]``: weigh bins of like probabilities, sort one of them."""
    bins = probs.view(int32) >> 19  # a float's exponent and four more bits rise as it does
    weights = bins.bincount(weights=probs.double()).flip(0).cumsum(0)
    at = int((weights.float() < mass).sum())
    if at == len(weights):  # rounding keeps the whole below the mass
        return 0.0
    falling = probs[bins == len(weights) - 1 - at].sort(descending=True).values
    return _crossing(falling, mass, weights[at - 1] if at else 0.0)[0]
