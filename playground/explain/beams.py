"""All rows of a lane as one tree: which were continued, which were pruned, and which ended."""

from __future__ import annotations

from collections import Counter, defaultdict

from playground.trace import Comparison, FinishReason, Output, StepRecord, Trace
from playground.trace.beams import Beam, BeamText, BeamTree, Fate, PassedBeam

CUT_OFF: tuple[FinishReason | None, ...] = (None, "waiting", "deadline", "cancelled", "error")


def beams(comparison: Comparison, lane: int) -> BeamTree:
    """The rows of a lane, token by token, with the fate of each.

    For a search that keeps one text that is the text, for independent draws each of them.
    """
    trace = comparison.lanes[lane].trace
    known, steps = trace.beams, trace.steps
    parents = {step.parent for step in steps}
    fates = _fates(trace, parents)
    best = set(trace.outputs[0].nodes) if trace.outputs else set()
    own = scored(trace)
    scores = _scores(trace)
    places = _places(steps, scores)
    weights = known.weights if known else []
    groups = known.groups if known else []
    return BeamTree(
        lane=lane,
        recipe=comparison.lanes[lane].recipe,
        rows=_rows(trace, fates),
        positions=max((step.index + 1 for step in steps), default=0),
        weighs_by=known.weighs_by if known and own else "",
        recorded=bool(weights),
        beams=[
            Beam.model_construct(
                parent=step.parent,
                index=step.index,
                token=step.token,
                text=step.piece,
                logprob=step.logprob,
                score=scores[node],
                weight=weights[node] if own and node < len(weights) else None,
                place=places[node],
                group=groups[node] if node < len(groups) else None,
                fate=fates[node],
                best=node in best,
            )
            for node, step in enumerate(steps)
        ],
        passed=[
            PassedBeam.model_construct(
                parent=parent, index=one.index, token=token, text=text, score=score
            )
            for one in (known.passed if known else ())
            for parent, token, text, score in zip(
                one.parents, one.tokens, one.texts, one.scores, strict=True
            )
        ],
        texts=[
            BeamText(
                node=output.nodes[-1] if output.nodes else None,
                tokens=len(output.nodes),
                score=scores[output.nodes[-1]] if output.nodes else 0.0,
                weight=weight(trace, output),
                finish_reason=output.finish_reason,
            )
            for output in trace.outputs
        ],
    )


def scored(trace: Trace) -> bool:
    """Whether its search keeps a score of each text; one that keeps none has zeros there."""
    return trace.beams is not None and any(step.score != 0 for step in trace.steps)


def weight(trace: Trace, output: Output) -> float | None:
    """What the search ranks a text by; where it ranks finished texts alone, as measured then."""
    known = trace.beams
    if known is None or not scored(trace):
        return None
    node = output.nodes[-1] if output.nodes else None
    held = known.weights[node] if node is not None and node < len(known.weights) else None
    return output.found.get(known.weighs_by) if held is None else held


def _fates(trace: Trace, parents: set[int | None]) -> list[Fate]:
    ended = {one.node for one in trace.beams.ended} if trace.beams else set()
    running = set()
    for output in trace.outputs:
        if output.nodes and output.finish_reason in CUT_OFF:
            running.add(output.nodes[-1])
        elif output.nodes:
            ended.add(output.nodes[-1])
    last = max((step.index for step in trace.steps), default=-1)
    going = any(output.finish_reason in CUT_OFF for output in trace.outputs)
    fates: list[Fate] = []
    for node, step in enumerate(trace.steps):
        if node in parents:
            fates.append("continued")
        elif node in ended:
            fates.append("ended")
        elif node in running or (going and step.index == last):
            fates.append("running")
        else:
            fates.append("pruned")
    return fates


def _rows(trace: Trace, fates: list[Fate]) -> int:
    """The most rows that were kept at one position, without those that ended there if there are
    others.

    For a search that does not choose among texts, the number of its texts: it may have taken back
    tokens, which are records too.
    """
    steps = trace.steps
    if trace.beams is None:
        return len(trace.outputs)
    kept = Counter(step.index for step, fate in zip(steps, fates, strict=True) if fate != "ended")
    return max((kept or Counter(step.index for step in steps)).values(), default=0)


def _scores(trace: Trace) -> list[float]:
    """The score of the text up to each record: the search's, or the sum of log-probabilities."""
    if scored(trace):
        return [step.score for step in trace.steps]
    totals: list[float] = []
    for step in trace.steps:  # a record comes after the one before it in its text
        before = 0.0 if step.parent is None else totals[step.parent]
        totals.append(before + step.logprob)
    return totals


def _places(steps: list[StepRecord], scores: list[float]) -> list[int]:
    """The rank of each record by score at its position, from 1; the earlier of equal ones leads."""
    at: dict[int, list[int]] = defaultdict(list)
    for node, step in enumerate(steps):
        at[step.index].append(node)
    places = [0] * len(steps)
    for nodes in at.values():
        for place, node in enumerate(sorted(nodes, key=lambda node: (-scores[node], node)), 1):
            places[node] = place
    return places
