"""A distribution step by step through a recipe: what each was given, its threshold, its effect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from playground.explain.effect import Effect, effect
from playground.explain.removal import last_kept
from playground.explain.words import percent
from playground.trace import ChainStep, Measure, StepRecord, Trace


@dataclass(frozen=True)
class Cut:
    """The threshold of a step, in terms of the probabilities that it was given.

    ``keeps_by`` is the measure that ``threshold`` is a value of. It is ``recorded`` where the step
    gave it; otherwise it is that of the last token kept. Where it bounds probabilities, tokens of
    ``least`` to ``most`` were kept.
    """

    keeps_by: Measure
    threshold: float
    recorded: bool
    least: float | None = None
    most: float | None = None

    @property
    def sentence(self) -> str:
        at = self.threshold
        if self.keeps_by == "rank":
            return f"keeps up to rank {at:,.0f}"
        if self.keeps_by == "mass":
            return f"keeps until the likelier ones hold {percent(at, 3)}"
        if self.keeps_by == "typicality":
            return f"keeps a surprise within {at:.2f} nats of the entropy"
        if self.keeps_by == "ceiling":
            return f"of those that have at least {percent(at, 3)} keeps the least likely"
        if not self.recorded:
            return f"the last that it keeps has {percent(at, 3)}"
        return f"keeps what has at least {percent(at, 3)}"


@dataclass(frozen=True)
class Passage:
    """One step of a recipe at one token.

    ``given`` and ``left`` are the recorded candidates' probabilities, 0 where one was removed.
    ``cut`` is None where the step has no threshold, or none that is known.
    """

    label: str
    given: Sequence[float]
    left: Sequence[float]
    effect: Effect
    cut: Cut | None

    @property
    def sentence(self) -> str:
        """Its threshold and what it removed, else what it moved."""
        done = self.effect.sentence.removeprefix(f"{self.label} ")
        return f"{self.cut.sentence}; {done}" if self.cut and self.effect.removed else done


def passages(trace: Trace, step: StepRecord) -> list[Passage]:
    """Every step of the recipe in order; empty where nothing reshapes the model's distribution."""
    known = step.candidates
    found = []
    for stage, processor in enumerate(trace.chain.processors):
        given = known.stages[stage - 1] if stage else known.raw
        found.append(
            Passage(
                processor.label,
                given,
                known.stages[stage],
                effect(trace, step, stage),
                cut(processor, step, stage),
            )
        )
    return found


def cut(processor: ChainStep, step: StepRecord, stage: int) -> Cut | None:
    """The threshold of the step at this index, where it was recorded or the records imply it."""
    by, at = processor.keeps_by, step.stages[stage].threshold
    known = step.candidates
    given = known.stages[stage - 1] if stage else known.raw
    entropy = step.stages[stage - 1].entropy if stage else step.raw_entropy
    recorded = at is not None
    if at is None:
        at = last_kept(step, stage, given, entropy, by)
    if at is None or by is None:
        return None
    if by == "typicality":
        return Cut(by, at, recorded, math.exp(-entropy - at), min(1.0, math.exp(at - entropy)))
    return Cut(by, at, recorded, at if by in ("probability", "ceiling") else None)
