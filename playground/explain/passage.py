"""A distribution on its way through a recipe: what each step was given, its line, what it left."""

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
    """Where a step drew its line, in terms of the probabilities that it was given.

    ``keeps_by`` says what ``threshold`` is a value of: the step's own, or, not ``told`` by it,
    what the last token that stayed has. Where it is a line of probabilities, tokens of ``least`` to
    ``most`` were kept.
    """

    keeps_by: Measure
    threshold: float
    told: bool
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
        if not self.told:
            return f"the last that it keeps has {percent(at, 3)}"
        return f"keeps what has at least {percent(at, 3)}"


@dataclass(frozen=True)
class Passage:
    """One step of a recipe at one token.

    ``given`` and ``left`` are the recorded candidates' probabilities, 0 where one was removed.
    ``cut`` is None where the step removes nothing, or does not tell where its line is.
    """

    label: str
    given: Sequence[float]
    left: Sequence[float]
    effect: Effect
    cut: Cut | None

    @property
    def sentence(self) -> str:
        """Its line and what it removed, else what it moved."""
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
    """The line of the step at this index, where it has told one or the records show it."""
    by, at = processor.keeps_by, step.stages[stage].threshold
    known = step.candidates
    given = known.stages[stage - 1] if stage else known.raw
    entropy = step.stages[stage - 1].entropy if stage else step.raw_entropy
    told = at is not None
    if at is None:
        at = last_kept(step, stage, given, entropy, by)
    if at is None or by is None:
        return None
    if by == "typicality":
        return Cut(by, at, told, math.exp(-entropy - at), min(1.0, math.exp(at - entropy)))
    return Cut(by, at, told, at if by in ("probability", "ceiling") else None)
