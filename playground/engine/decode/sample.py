"""From logits to the next tokens, in three passes over the lanes: process, choose, record.

A processor that several lanes share is called once for all their rows, draws from one tensor are
made together, and all lanes are recorded at once: thirty columns cost little more than one. What
fails in one lane ends that lane alone.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from time import perf_counter

import torch

from playground.engine.decode.faults import end_failed
from playground.engine.decode.lane_step import LaneStep
from playground.engine.lanes.commit import Chosen, commit
from playground.engine.lanes.detokenizer import Detokenizer
from playground.engine.lanes.logits import FEWEST, ChosenFrom, known_logits
from playground.engine.lanes.record import Choice, Entry, choices
from playground.engine.lanes.rows import Fault
from playground.engine.lanes.slots import Store
from playground.engine.lanes.stages import concatenated, divided
from playground.trace import Times
from strategies import Move, Rewind
from strategies.ops.noise import draw_each
from strategies.ops.topk import argmax

log = logging.getLogger(__name__)


def process(steps: Sequence[LaneStep]) -> None:
    """Every lane's processors in order, from its logits; those that are equal are called together.

    Where a search reads log-probabilities, its processors do too.
    """
    _normalise([step for step in steps if step.lane.search.reads_logprobs])
    for depth in range(max((len(step.lane.processors) for step in steps), default=0)):
        groups: dict[Hashable, list[LaneStep]] = {}
        for step in steps:
            if step.fault is None and depth < len(step.lane.processors):
                groups.setdefault(step.lane.processor_keys[depth], []).append(step)
        for group in groups.values():
            try:
                _process(group, depth)
            except Exception as error:
                if len(group) == 1:
                    group[0].fault = error
                    continue
                for step in group:  # it is not known whose rows made it fail
                    try:
                        _process([step], depth)
                    except Exception as own:
                        step.fault = own


def choose(steps: Sequence[LaneStep]) -> None:
    """Each search's moves. One that looks ahead stops at its ``LookAhead``, and goes on from there
    when this is called again and the step has the ``states``.
    """
    _find_batch_draws([step for step in steps if step.choosing is None])
    for step in steps:
        if step.fault is None:
            clock = perf_counter()
            try:
                _choose(step)
            except Exception as error:
                step.fault = error
            step.search += perf_counter() - clock


def record(steps: Sequence[LaneStep], detokenizer: Detokenizer, store: Store) -> None:
    """Record the steps whose moves are chosen, commit them to their lanes, and end failed lanes."""
    chosen = [step for step in steps if step.fault is None and step.look_ahead is None]
    clock = perf_counter()
    recorded = choices(
        detokenizer,
        [
            Entry(step.logits, step.stages, step.moves, step.lane.top_n, step.lane.processors)
            for step in chosen
        ],
    )
    logits = _logits(chosen, recorded)
    seconds = (perf_counter() - clock) / max(1, sum(len(step.rows) for step in chosen))
    for step, own, kept in zip(chosen, recorded, logits, strict=True):
        times = Times.of(
            forward=step.forward,
            processors=step.processors,
            search=step.search,
            record=step.normalise + seconds * len(step.rows),
            forward_rows=step.forward_rows,
        )
        try:
            made = Chosen(step.rows, step.moves, own, kept, times, step.draft, step.rewinds)
            commit(step.lane, made, store)
        except Exception as error:
            step.fault = error
    end_failed(steps)


def _logits(steps: Sequence[LaneStep], choices: Sequence[Sequence[Choice]]) -> list[Sequence[str]]:
    """The logits that are kept of every choice: of none where the search chooses in another way
    than by drawing a token or taking the likeliest.
    """
    keeping = [
        step.lane.search.chooses in ("likeliest", "draw") and step.lane.top_n >= FEWEST
        for step in steps
    ]
    rows = []
    for step, own, kept in zip(steps, choices, keeping, strict=True):
        scores = step.logits.batch.scores
        ends = frozenset(token for token in step.lane.ends.eos if token < scores.shape[-1])
        for move, choice in zip(step.moves, own, strict=True) if kept else ():
            sample = step.rows[move.parent].row.sample if move.sample is None else move.sample
            row = scores[step.logits.rows[move.parent]]
            listed, noise = choice.candidates.ids, step.noises[move.parent]
            rows.append(ChosenFrom(row, listed, step.lane.top_n, noise, sample, ends))
    found = iter(known_logits(rows))
    return [
        [next(found) if kept else "" for _ in own]
        for own, kept in zip(choices, keeping, strict=True)
    ]


def _normalise(steps: Sequence[LaneStep]) -> None:
    """Turn the scores of these lanes into log-probabilities."""
    if steps:
        clock = perf_counter()
        _divide(steps, concatenated([step.scores for step in steps]).log_softmax(dim=-1))
        seconds = (perf_counter() - clock) / sum(len(step.rows) for step in steps)
        for step in steps:
            step.normalise = seconds * len(step.rows)


def _process(group: Sequence[LaneStep], depth: int) -> None:
    """Call the processor that these lanes have at ``depth`` on all their rows."""
    clock = perf_counter()
    processor = group[0].lane.processors[depth]
    rows = [row for step in group for row in step.lane.seen_by(depth, step.rows, step.given)]
    scores = concatenated([step.scores for step in group])
    out = processor(scores, rows)
    if out.shape != scores.shape:
        raise Fault(
            f"{processor.info.id} returned scores of shape {tuple(out.shape)} for "
            f"{tuple(scores.shape)}"
        )
    seconds = (perf_counter() - clock) / len(rows)
    if out is not scores:  # else it changed nothing
        _divide(group, out)
    for step in group:
        step.stages.append(step.scores)
        step.processors += seconds * len(step.rows)


def _divide(steps: Sequence[LaneStep], scores: torch.Tensor) -> None:
    """Each lane gets as many rows of ``scores`` as it has, in order."""
    for step, stage in zip(steps, divided(scores, [len(step.rows) for step in steps]), strict=True):
        step.scores = stage


def _find_batch_draws(steps: Sequence[LaneStep]) -> None:
    """Find at once what several searches need of their scores: the likeliest, or a draw."""
    groups: dict[str, list[LaneStep]] = {}
    for step in steps:
        chooses = step.lane.search.chooses
        if step.fault is None and chooses in ("likeliest", "draw"):
            groups.setdefault(chooses, []).append(step)
    for kind, group in groups.items():
        if sum(len(step.rows) for step in group) > 1:
            try:
                _draw_together(group, draws=kind == "draw")
            except Exception as error:  # each lane does it itself, and ends with what fails
                log.warning("tokens could not be found for all at once", exc_info=error)


def _draw_together(group: Sequence[LaneStep], *, draws: bool) -> None:
    clock = perf_counter()
    scores = concatenated([step.scores for step in group])
    rows = [(step, row, held) for step in group for row, held in enumerate(step.rows)]
    samples = [held.row.sample for _, _, held in rows]
    if draws:
        tokens = draw_each(scores, [step.noises[row] for step, row, _ in rows], samples)
    else:
        tokens = argmax(scores).tolist()
    seconds = (perf_counter() - clock) / len(rows)
    for (step, row, _), sample, token in zip(rows, samples, tokens, strict=True):
        step.batch_draws[row, sample if draws else None] = token
        step.search += seconds


def _choose(step: LaneStep) -> None:
    try:
        if step.choosing is None:
            step.choosing = step.lane.choose(
                step.rows,
                step.scores.scores,
                step.noises,
                step.given,
                step.batch_draws,
                step.logits.scores,
            )
            step.look_ahead = next(step.choosing)
        else:
            assert step.states is not None
            step.look_ahead = step.choosing.send(step.states)
    except StopIteration as returned:
        step.look_ahead, found = None, returned.value
        step.moves = [move for move in found if isinstance(move, Move)]
        step.rewinds = [move for move in found if isinstance(move, Rewind)]
    finally:
        step.states = None
