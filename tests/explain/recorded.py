"""Steps recorded by the engine's own recorder, from logits that a test knows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from playground.engine.lanes.chain import chain
from playground.engine.lanes.record import Entry, choices
from playground.engine.lanes.stages import ScoreBatch, Stage
from playground.trace import StepRecord, Times, Trace
from strategies import Move, Recipe, Row
from tests.strategies.driver import context

TIMES = Times(forward=0, processors=0, search=0, record=0, forward_rows=1)


class Named:
    """A detokenizer whose tokens are called by their numbers."""

    def piece(self, token: int) -> str:
        return f" {token}"


@dataclass(frozen=True)
class Recorded:
    """A step, its trace, and the scores in float64 before each stage and after the last."""

    trace: Trace
    step: StepRecord
    scores: list[Tensor]


def recorded(
    recipe: str, logits: Tensor, token: int | None = None, *, top_n: int = 20, index: int = 0
) -> Recorded:
    """One step of ``recipe`` on ``logits`` ``[vocab]``, which chose ``token`` or the likeliest."""
    made, size = Recipe.parse(recipe), len(logits)
    processors, _ = made.build(context(size))
    stages = [logits[None]]
    for processor in processors:
        rows = [Row((1, 2, 3), 3, state=processor.initial_state())]
        stages.append(processor(stages[-1], rows))
    chosen = int(stages[-1][0].argmax()) if token is None else token
    model, *later = (Stage(ScoreBatch(scores), [0]) for scores in stages)
    entry = Entry(model, later, [Move(0, chosen)], top_n, processors)
    [[choice]] = choices(Named(), [entry])  # type: ignore[arg-type]
    step = StepRecord(
        index=index,
        parent=None,
        token=chosen,
        text=f" {chosen}",
        raw_logprob=choice.raw_logprob,
        logprob=choice.logprob,
        raw_rank=choice.raw_rank,
        rank=choice.rank,
        raw_entropy=choice.raw_entropy,
        stages=choice.stages,
        candidates=choice.candidates,
        times=TIMES,
        at=0.0,
    )
    trace = Trace(chain=chain(made), vocab_size=size, steps=[step])
    return Recorded(trace, step, [scores[0].double() for scores in stages])


def logits(seed: int, size: int = 80, spread: float = 2.0) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)) * spread
