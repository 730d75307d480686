"""Which step of a recipe removed a candidate, and by how much it missed staying."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from playground.explain.words import percents, shown
from playground.trace import Measure, StepRecord, Trace

EXTRAS = 5  # candidates, at most, that were recorded though the model gave others more


@dataclass(frozen=True)
class Removal:
    """A candidate as the stage that removed it was given it.

    ``value`` is what it had and ``threshold`` what it needed, in terms of ``keeps_by``; None where
    the records do not determine them. The threshold is ``recorded`` where the step gave it;
    otherwise it is that of the last token kept. ``rank`` counts from 1.
    """

    stage: int
    label: str
    token: int
    text: str
    probability: float
    rank: int | None
    keeps_by: Measure | None
    value: float | None
    threshold: float | None
    recorded: bool

    @property
    def margin(self) -> float | None:
        """By how much it missed, in terms of ``keeps_by``."""
        if self.value is None or self.threshold is None:
            return None
        return abs(self.threshold - self.value)

    @property
    def sentence(self) -> str:
        """``“ dog”, rank 4, 6.1 % → removed by min_p 0.1: needed 7.2 %``"""
        had, needed = percents(self.probability, self._needed)
        rank = "" if self.rank is None else f"rank {self.rank:,}, "
        why = self._why(needed)
        removed = f"{shown(self.text, self.token)}, {rank}{had} → removed by {self.label}"
        return f"{removed}: {why}" if why else removed

    @property
    def _needed(self) -> float | None:
        return self.threshold if self.keeps_by in ("probability", "ceiling") else None

    def _why(self, needed: str) -> str:
        if self.threshold is None:
            return ""
        if self.keeps_by == "probability":
            return f"needed {needed}" if self.recorded else f"the last that stays has {needed}"
        if self.keeps_by == "ceiling":
            return f"of those that have {needed} only the least likely stays"
        if self.keeps_by == "rank":
            return f"needed rank {self.threshold:,.0f}"
        if self.value is None:
            return ""
        if self.keeps_by == "mass":
            hold, enough = percents(self.value, self.threshold)
            return f"the likelier ones hold {hold}, of which {enough} are enough"
        return (
            f"its surprise is {self.value:.2f} nats from the entropy, the farthest that stays "
            f"{self.threshold:.2f}"
        )


def removal(trace: Trace, step: StepRecord, candidate: int) -> Removal | None:
    """What removed a candidate, by its number among the recorded ones; None where it stayed."""
    stage = trace.removed_by(step, candidate)
    if stage is None:
        return None
    known, processor = step.candidates, trace.chain.processors[stage]
    before = known.stages[stage - 1] if stage else known.raw
    entropy = step.stages[stage - 1].entropy if stage else step.raw_entropy
    rank = _rank(before, candidate)
    threshold = step.stages[stage].threshold
    recorded = threshold is not None
    if not recorded:
        threshold = last_kept(step, stage, before, entropy, processor.keeps_by)
    p = before[candidate]
    value: float | None = None
    if processor.keeps_by in ("probability", "ceiling"):
        value = p
    elif processor.keeps_by == "typicality":
        value = _untypical(p, entropy)
    elif processor.keeps_by == "rank":
        value = rank
    elif processor.keeps_by == "mass" and rank is not None:
        value = math.fsum(q for q in before if q > p)
    return Removal(
        stage=stage,
        label=processor.label,
        token=known.ids[candidate],
        text=known.texts[candidate],
        probability=p,
        rank=rank,
        keeps_by=processor.keeps_by,
        value=value,
        threshold=threshold,
        recorded=recorded,
    )


def removals(trace: Trace, step: StepRecord) -> list[Removal]:
    """What removed each recorded candidate that did not stay, in falling raw probability."""
    found = (removal(trace, step, candidate) for candidate in range(len(step.candidates.ids)))
    return [one for one in found if one is not None]


def _rank(before: list[float], candidate: int) -> int | None:
    """A candidate's rank where no token that was not recorded can be likelier, else None.

    Their probabilities together may be too small; or the model ranked the candidate among its
    likeliest, of which all were recorded, and since then the recorded ones kept their order.
    """
    p = before[candidate]
    rank = 1 + sum(q > p for q in before)
    unrecorded = 1.0 - math.fsum(before)
    listed = len(before) - EXTRAS
    kept_order = all(a >= b for a, b in pairwise(before))
    return rank if unrecorded < p or (kept_order and candidate < listed) else None


def last_kept(
    step: StepRecord, stage: int, before: list[float], entropy: float, by: Measure | None
) -> float | None:
    """The threshold that the tokens kept imply, where all of them were recorded."""
    kept = [p for p, after in zip(before, step.candidates.stages[stage], strict=True) if after > 0]
    if not kept or len(kept) < step.stages[stage].survivors:
        return None
    if by == "probability":
        return min(kept)
    return max(_untypical(p, entropy) for p in kept) if by == "typicality" else None


def _untypical(p: float, entropy: float) -> float:
    """How far a token's surprise is from the entropy, in nats."""
    return abs(-math.log(p) - entropy) if p > 0 else math.inf
