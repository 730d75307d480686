"""Drawing anew among weighted things, so that heavy ones are there several times."""

from __future__ import annotations

import math
from collections.abc import Sequence


def resampled(weights: Sequence[float], threshold: float, at: float) -> list[tuple[int, float]]:
    """Which of the things are kept, and the logarithm of each one's weight, ``weights`` before.

    As they are, while the effective number ``(sum w)^2 / sum w^2`` is at least ``threshold`` times
    how many there are; else as many are drawn, systematically from one number ``at`` in (0, 1), and
    share the weight.
    """
    if not weights:
        return []
    count, top = len(weights), max(weights)
    shares = [math.exp(weight - top) for weight in weights]
    total = sum(shares)
    if total**2 / sum(share * share for share in shares) >= threshold * count:
        return [*enumerate(weights)]
    even, reached = top + math.log(total / count), 0.0
    drawn: list[tuple[int, float]] = []
    for place, share in enumerate(shares):
        reached += share / total * count
        while len(drawn) < count and at + len(drawn) < reached:
            drawn.append((place, even))
    return drawn
