"""Whether the records of a comparison from outside are consistent, so that they can be drawn."""

from __future__ import annotations

from playground.trace.beams import BeamRecord
from playground.trace.comparison import Comparison
from playground.trace.lane import Trace
from playground.trace.logits import unpack
from playground.trace.steps import StepRecord


def check(comparison: Comparison, lanes: int) -> None:
    """Raise ``ValueError``, which names the record, where records contradict each other.

    ``lanes`` is the most it may have. The type of each value was checked when the comparison was
    read.
    """
    if not 1 <= len(comparison.lanes) <= lanes:
        raise ValueError(
            f"lanes: there may be from 1 to {lanes} columns, and this has {len(comparison.lanes)}."
        )
    for number, lane in enumerate(comparison.lanes):
        fault = _fault(lane.trace)
        if fault:
            raise ValueError(f"lanes.{number}.trace.{fault}")


def _fault(trace: Trace) -> str:
    """What is wrong with a trace; empty where nothing is."""
    stages = len(trace.chain.processors)
    steps = enumerate(trace.steps)
    records = [*((f"steps.{at}", at, step) for at, step in steps)]
    if trace.offer is not None:
        records.append(("offer", len(trace.steps), trace.offer))
    for name, at, step in records:
        fault = _of_step(step, stages)
        if fault:
            return f"{name}.{fault}"
        if step.parent is not None and not 0 <= step.parent < at:
            return f"{name}.parent: it is {step.parent}, which is no earlier step."
    for number, output in enumerate(trace.outputs):
        if not all(0 <= node < len(trace.steps) for node in output.nodes):
            return f"outputs.{number}.nodes: one of them is no step."
        path = trace.path(number)
        if [step.index for step in path] != list(range(len(path))):
            return f"outputs.{number}.nodes: their steps do not follow each other."
        if [step.token for step in path] != output.token_ids:
            return f"outputs.{number}.token_ids: they are not its steps' tokens."
    return _of_beams(trace.beams, len(trace.steps)) if trace.beams is not None else ""


def _of_beams(beams: BeamRecord, steps: int) -> str:
    for number, one in enumerate(beams.passed):
        if not len(one.parents) == len(one.tokens) == len(one.texts) == len(one.scores):
            return f"beams.passed.{number}: its lists are not of one length."
        if not all(parent is None or 0 <= parent < steps for parent in one.parents):
            return f"beams.passed.{number}.parents: one of them is no step."
    if not all(0 <= row.node < steps for row in beams.ended):
        return "beams.ended: one of them is no step."
    return ""


def _of_step(step: StepRecord, stages: int) -> str:
    known = step.candidates
    count = len(known.ids)
    if len(step.stages) != stages or len(known.stages) != stages:
        return f"stages: there are {len(step.stages)}, and {stages} processors."
    if any(len(parallel) != count for parallel in (known.texts, known.raw, *known.stages)):
        return "candidates: its lists are not of one length."
    if step.token not in known.ids:
        return "token: it is not among the candidates."
    if not all(0.0 <= p <= 1.0 + 1e-6 for listed in (known.raw, *known.stages) for p in listed):
        return "candidates: a probability is not from 0 to 1."
    if step.rank < 1 or step.raw_rank < 1 or any(one.survivors < 1 for one in step.stages):
        return "rank: ranks and survivors count from 1."
    try:
        if step.logits:
            unpack(step.logits, known.ids)
    except ValueError:
        return "logits: they cannot be unpacked."
    return ""
