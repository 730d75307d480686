"""How far apart the distributions of two columns are, where their texts are still the same."""

from __future__ import annotations

import math

from playground.metrics import mean
from playground.trace import Comparison, StepRecord
from playground.trace.branches import ColumnDistance, StepDistance


def distance(comparison: Comparison, left: int, right: int) -> ColumnDistance:
    """The Jensen-Shannon distance of two columns at each step they share, and its mean."""
    a, b = (comparison.lanes[lane].trace.path() for lane in (left, right))
    steps = []
    for one, other in zip(a, b, strict=False):
        steps.append(_step(one, other))
        if one.token != other.token:
            break
    return ColumnDistance(
        left=left,
        right=right,
        steps=steps,
        low=mean([step.low for step in steps]),
        high=mean([step.high for step in steps]),
    )


def _step(one: StepRecord, other: StepRecord) -> StepDistance:
    """Exact over the tokens that both recorded. What is left of either may be the same tokens in
    the same shares, and cannot do more than have none in common.
    """
    p, q = (dict(zip(s.candidates.ids, s.candidates.final, strict=True)) for s in (one, other))
    shared = p.keys() & q.keys()
    known = math.fsum(_part(p[token], q[token]) for token in shared)
    rest = [max(0.0, 1.0 - math.fsum(d[token] for token in shared)) for d in (p, q)]
    low, high = known + _part(*rest), known + sum(rest) / 2
    return StepDistance(low=_root(low), high=_root(high))


def _part(p: float, q: float) -> float:
    """What one token adds to the divergence, in bits."""
    middle = (p + q) / 2
    return math.fsum(x / 2 * math.log2(x / middle) for x in (p, q) if x > 0)


def _root(divergence: float) -> float:
    return math.sqrt(min(max(divergence, 0.0), 1.0))
