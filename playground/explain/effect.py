"""What a step of a recipe did to a distribution: the mass it removed, the logits it shifted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from playground.explain.words import count, percent, shown
from playground.trace import StepRecord, Trace

NEAR = 1e-3  # nats: two shifts that are nearer are the same
LEAST = 1e-9  # probabilities below have too few digits to tell a shift by


@dataclass(frozen=True)
class Effect:
    """A stage's effect. ``removed`` counts tokens; ``mass`` is the probability that they had.

    ``mass`` is None where the records do not tell. ``shifts`` are what was added to the logits of
    recorded tokens, in nats, where that was not the same for all: none where every token was moved,
    as by a temperature. Its ``scale`` is what all logits were multiplied by, of others None.
    """

    stage: int
    label: str
    removed: int
    mass: float | None
    shifts: dict[int, float] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    scale: float | None = None

    @property
    def sentence(self) -> str:
        """What it removed, else what it shifted, the most moved token first."""
        if self.removed:
            told = f"{self.label} removes {count(self.removed, 'token')}"
            return told if self.mass is None else f"{told}, {percent(self.mass)} of the probability"
        if self.scale is not None:
            how = "raises the likely ones" if self.scale > 1 else "raises the unlikely ones"
            return f"{self.label} multiplies every logit by {self.scale:.3g}, which {how}"
        if not self.shifts:
            return f"{self.label} removes nothing"
        most = max(self.shifts, key=lambda token: abs(self.shifts[token]))
        shift = self.shifts[most]
        verb = "adds {} to" if shift > 0 else "takes {} off"
        others = len(self.shifts) - 1
        told = f"{self.label} {verb.format(f'{abs(shift):.2f}')} {shown(self.texts[most], most)}"
        return f"{told} and moves {count(others, 'other')}" if others else told


def effect(trace: Trace, step: StepRecord, stage: int) -> Effect:
    """What the stage of this index did in one step."""
    known = step.candidates
    before = known.stages[stage - 1] if stage else known.raw
    after = known.stages[stage]
    left = step.stages[stage].survivors
    had = step.stages[stage - 1].survivors if stage else trace.vocab_size
    ratios = {
        token: math.log(q / p)
        for token, p, q in zip(known.ids, before, after, strict=True)
        if p > LEAST and q > LEAST
    }
    untouched = _untouched(list(ratios.values()), _rest(before, after))
    shifts: dict[int, float] = {}
    scale = _scale(known.ids, before, ratios) if left == had else None
    if untouched is not None and left == had and scale is None:
        moved = {token: ratio - untouched for token, ratio in ratios.items()}
        shifts = {token: shift for token, shift in moved.items() if abs(shift) > NEAR}
    mass: float | None = None
    kept = [p for p, q in zip(before, after, strict=True) if q > 0]
    if left == had:
        mass = 0.0
    elif len(kept) == left:
        mass = max(0.0, 1.0 - math.fsum(kept))
    elif untouched is not None and all(abs(r - untouched) <= NEAR for r in ratios.values()):
        mass = max(0.0, 1.0 - math.exp(-untouched))  # the rest was only scaled up to 1 again
    texts = dict(zip(known.ids, known.texts, strict=True))
    return Effect(
        stage,
        trace.chain.processors[stage].label,
        had - left,
        mass,
        shifts,
        {token: texts[token] for token in shifts},
        scale,
    )


def _scale(ids: Sequence[int], before: Sequence[float], ratios: dict[int, float]) -> float | None:
    """What all logits were multiplied by; None where that was not so, or was 1."""
    points = sorted(
        (math.log(p), ratios[t]) for t, p in zip(ids, before, strict=True) if t in ratios
    )
    if len(points) < 3 or points[-1][0] - points[0][0] < 0.1:
        return None
    (least, low), (most, high) = points[0], points[-1]
    slope = (high - low) / (most - least)
    even = all(abs(low + slope * (at - least) - ratio) <= NEAR for at, ratio in points)
    between = any(least + 0.02 < at < most - 0.02 for at, _ in points)
    return 1.0 + slope if even and between and abs(slope) > NEAR else None


def _rest(before: Sequence[float], after: Sequence[float]) -> float | None:
    """How all tokens that were not recorded moved together; None where they hold too little."""
    rest = [1.0 - math.fsum(before), 1.0 - math.fsum(after)]
    return math.log(rest[1] / rest[0]) if min(rest) > 0.01 else None


def _untouched(ratios: Sequence[float], rest: float | None) -> float | None:
    """What only normalisation did to a token's log-probability; None where no two moved alike.

    Of the values that several tokens share it is the one nearest to how the vocabulary moved as a
    whole, where that is known, else the commonest.
    """
    groups: list[list[float]] = []
    for ratio in sorted(ratios):
        if groups and ratio - groups[-1][0] <= NEAR:
            groups[-1].append(ratio)
        else:
            groups.append([ratio])
    shared = [group for group in groups if len(group) > 1]
    if not shared:
        return None
    if rest is None:
        best = max(shared, key=len)
    else:
        best = min(shared, key=lambda group: abs(group[0] - rest))
    return math.fsum(best) / len(best)
