"""A token's probability stage by stage through a recipe, from its step record."""

from __future__ import annotations

import math
from itertools import pairwise

from playground.trace import StepRecord


def course(step: StepRecord, token: int) -> list[float]:
    """A token's probability, raw and after each stage; empty where it was not recorded."""
    candidates = step.candidates
    if token not in candidates.ids:
        return []
    at = candidates.ids.index(token)
    return [candidates.raw[at], *(stage[at] for stage in candidates.stages)]


def removers(step: StepRecord, token: int, vocab_size: int) -> list[int]:
    """The stage that removed a token, or those of which one must have; empty where none did.

    Nothing is known of a token that was not recorded, unless all that survive were recorded. A
    probability too small for a float is 0 as well, but a stage after which as many tokens survive
    as before, ``vocab_size`` at first, removed none.
    """
    known = step.candidates
    counts = [vocab_size, *(summary.survivors for summary in step.stages)]
    cutters = [stage for stage, (before, after) in enumerate(pairwise(counts)) if before != after]
    if token in known.ids:
        stage = known.removed_by(known.ids.index(token))
        return [stage] if stage in cutters else []
    for last, left in enumerate(known.stages):
        if sum(p > 0 for p in left) == step.stages[last].survivors:
            return [stage for stage in cutters if stage <= last]
    return []


def odds(step: StepRecord, token: int, against: int) -> list[float]:
    """Log-odds of one token against another, raw and after each stage; empty where unrecorded."""
    pairs = list(zip(course(step, token), course(step, against), strict=False))
    if any(p == 0.0 or q == 0.0 for p, q in pairs):
        return []
    return [math.log(p / q) for p, q in pairs]


def gains(odds: list[float]) -> dict[int, float]:
    """What each stage added to the log-odds, by its index."""
    return {stage: after - before for stage, (before, after) in enumerate(pairwise(odds))}
