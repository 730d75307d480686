"""The sentence with which a lane ends whose step failed."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from playground.engine.decode.lane_step import LaneStep
from playground.engine.lanes.rows import Fault
from strategies import Refusal
from strategies.dead_ends import dead_end

log = logging.getLogger(__name__)


def end_failed(steps: Sequence[LaneStep]) -> None:
    """End the lanes whose step failed, and log the faults that no strategy explains."""
    for step in steps:
        if step.fault is not None:
            step.lane.end("error", _sentence(step, step.fault))


def _sentence(step: LaneStep, fault: Exception) -> str:
    if isinstance(fault, Refusal):
        return str(fault)
    if (large := _overflow(step)) is not None:
        return large
    try:
        dead = _dead_end(step, fault)
    except Exception as error:  # a processor that cannot say why
        dead, fault = None, error
    if dead is not None:
        return dead
    if isinstance(fault, Fault):
        return f"{fault}."
    strategies = " | ".join(recipe_step.strategy for recipe_step in step.lane.recipe.steps)
    log.error("%s failed", strategies, exc_info=fault)  # without the visitor's prompt
    return f"{type(fault).__name__}: {fault}"


def _overflow(step: LaneStep) -> str | None:
    """Which processor first made scores that float32 does not hold, if one did."""
    for depth, stage in enumerate([step.logits, *step.stages]):
        if bool((stage.scores.isnan() | (stage.scores == torch.inf)).any()):
            if depth == 0:
                return "the model gave scores that are no numbers."
            return (
                f"{step.lane.processors[depth - 1].info.id} (step {depth}): the scores grew beyond "
                "the largest number; make its settings less extreme, or those before it."
            )
    return None


def _dead_end(step: LaneStep, fault: Exception) -> str | None:
    """Which processor removed every token of a row that had to go on, if that is why it failed."""
    called = step.lane.processors[: len(step.stages)]  # without the one that failed and those after
    stages = [step.logits, *step.stages]
    left = [(stage.scores != -torch.inf).sum(-1).tolist() for stage in stages]
    dead = [row for row, count in enumerate(left[-1]) if count == 0]
    if not dead or (len(dead) < len(step.rows) and not isinstance(fault, Fault)):
        return None
    held = step.rows[dead[0]]
    views = [step.lane.seen_by(depth, [held])[0] for depth in range(len(called))]
    end = dead_end(called, views, [counts[dead[0]] for counts in left])
    return f"{called[end.depth].info.id}: {end.why}" if end else None
