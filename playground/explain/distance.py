"""How far apart the distributions of two columns are, where their texts are still the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from playground.metrics import mean
from playground.trace import Comparison, StepRecord
from playground.trace.branches import ColumnDistance, StepDistance


def distance(comparison: Comparison, left: int, right: int) -> ColumnDistance:
    """The Jensen-Shannon distance of two columns at each step they share, and its mean."""
    a, b = (comparison.lanes[lane].trace.path() for lane in (left, right))
    pairs = []
    for one, other in zip(a, b, strict=False):
        pairs.append((one, other))
        if one.token != other.token:
            break
    same = [
        at for at, (one, other) in enumerate(pairs) if one.candidates.ids == other.candidates.ids
    ]
    alike = dict(zip(same, _alike([pairs[at] for at in same]), strict=True))
    steps = [alike.get(at) or _step(*pair) for at, pair in enumerate(pairs)]
    return ColumnDistance(
        left=left,
        right=right,
        steps=steps,
        low=mean([step.low for step in steps]),
        high=mean([step.high for step in steps]),
    )


def _alike(pairs: Sequence[tuple[StepRecord, StepRecord]]) -> list[StepDistance]:
    """``_step`` of many pairs at once, each of which has the same candidates on both sides.

    Nearly every step has, since the model gave both columns the same distribution.
    """
    found: dict[int, StepDistance] = {}
    for width in {len(one.candidates.ids) for one, _ in pairs}:
        indices = [at for at, (one, _) in enumerate(pairs) if len(one.candidates.ids) == width]
        group = [pairs[at] for at in indices]
        p, q = (
            np.array([pair[side].candidates.final for pair in group], np.float64) for side in (0, 1)
        )
        rest = [np.maximum(0.0, 1.0 - each.sum(-1)) for each in (p, q)]
        known = _parts(p, q).sum(-1)
        low, high = known + _parts(*rest), known + sum(rest) / 2
        bounds = np.sqrt(np.clip([low, high], 0.0, 1.0)).T.tolist()
        for at, (least, most) in zip(indices, bounds, strict=True):
            found[at] = StepDistance(low=least, high=most)
    return [found[at] for at in range(len(pairs))]


def _parts(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """``_part`` of many tokens."""
    middle = (p + q) / 2
    shares = [np.where(x > 0, x / np.where(middle > 0, middle, 1.0), 1.0) for x in (p, q)]
    found: NDArray[np.float64] = p / 2 * np.log2(shares[0]) + q / 2 * np.log2(shares[1])
    return found


def _step(one: StepRecord, other: StepRecord) -> StepDistance:
    """Bounds on the distance at one step.

    It is exact over the tokens that both recorded. The rest of the two distributions is closest
    where it is alike, and farthest where it has no token in common.
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
