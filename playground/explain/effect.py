"""The effect of a recipe's step on a distribution: the mass it removed, the logits it shifted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from playground.explain.words import count, percent, shown
from playground.trace import StepRecord, Trace

NEAR = 1e-3  # nats: two shifts that are nearer are the same
LEAST = 1e-9  # probabilities below have too few digits for a shift to show


@dataclass(frozen=True)
class Effect:
    """A stage's effect. ``removed`` counts tokens; ``mass`` is the probability that they had.

    ``mass`` is None where the records do not determine it. ``shifts`` are what was added to the
    logits of some recorded tokens, in nats; empty where every token was moved, as by a temperature.
    ``scale`` is what all logits were multiplied by, None where they were not. ``uneven`` says that
    each token was moved by an amount of its own.
    """

    stage: int
    label: str
    removed: int
    mass: float | None
    shifts: dict[int, float] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    scale: float | None = None
    uneven: bool = False

    @property
    def sentence(self) -> str:
        """What it removed, else what it shifted, the most moved token first."""
        if self.removed:
            text = f"{self.label} removes {count(self.removed, 'token')}"
            return text if self.mass is None else f"{text}, {percent(self.mass)} of the probability"
        if self.scale is not None:
            how = "raises the likely ones" if self.scale > 1 else "raises the unlikely ones"
            return f"{self.label} multiplies every logit by {self.scale:.3g}, which {how}"
        if not self.shifts:
            done = "moves each token by an amount of its own" if self.uneven else "removes nothing"
            return f"{self.label} {done}"
        most = max(self.shifts, key=lambda token: abs(self.shifts[token]))
        shift = self.shifts[most]
        verb = "adds {} to" if shift > 0 else "takes {} off"
        others = len(self.shifts) - 1
        text = f"{self.label} {verb.format(f'{abs(shift):.2f}')} {shown(self.texts[most], most)}"
        return f"{text} and moves {count(others, 'other')}" if others else text


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
        uneven=untouched is None and len(ratios) > 1,
    )


def _scale(ids: Sequence[int], before: Sequence[float], ratios: dict[int, float]) -> float | None:
    """What all logits were multiplied by; None where they were not, or by 1."""
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
    """The change in log-probability of all unrecorded tokens together; None where they are few."""
    rest = [1.0 - math.fsum(before), 1.0 - math.fsum(after)]
    return math.log(rest[1] / rest[0]) if min(rest) > 0.01 else None


def _untouched(ratios: Sequence[float], rest: float | None) -> float | None:
    """The change in log-probability by normalisation alone; None where too few moved alike.

    Of the values that several tokens share it is the one nearest to the change of the unrecorded
    tokens, where that is known, else the commonest.
    """
    groups: list[list[float]] = []
    for ratio in sorted(ratios):
        if groups and ratio - groups[-1][0] <= NEAR:
            groups[-1].append(ratio)
        else:
            groups.append([ratio])
    # Of many that all move by amounts of their own, two are alike by chance, and hardly three.
    shared = [group for group in groups if len(group) > (1 if len(ratios) < 10 else 2)]
    if not shared:
        return None
    if rest is None:
        best = max(shared, key=len)
    else:
        best = min(shared, key=lambda group: abs(group[0] - rest))
    return math.fsum(best) / len(best)
