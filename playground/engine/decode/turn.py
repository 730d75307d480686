"""What follows a forward: every lane's scores reshaped, its next tokens chosen, and written down.

A processor that several lanes share is called once for all their rows, and all lanes are recorded
together: thirty columns cost little more than one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import torch
from torch import Tensor

from playground.engine.lanes.detokenizer import Detokenizer
from playground.engine.lanes.lane import Lane
from playground.engine.lanes.record import Entry, Stage, in_pairs, record, taken
from playground.engine.lanes.rows import NOTHING, Fault, Given, LaneRow, Look, Store
from playground.trace import Times
from strategies import Move, Refusal, Row
from strategies.dead_ends import dead_end
from strategies.ops.noise import Noise, draw_each
from strategies.ops.topk import argmax

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Turn:
    """One lane's part of a step. ``places`` are its rows among the rows of ``take``'s logits.

    ``forward`` is the seconds of the forward behind them, which ``sharers`` rows shared.
    """

    lane: Lane
    places: list[int]
    noise: Noise
    forward: float = 0.0
    sharers: int = 1
    given: Given = NOTHING
    draft: int | None = None
    rows: list[LaneRow] = field(init=False)
    model: Stage = field(init=False)  # what the model said of its rows
    scores: Stage = field(init=False)  # after the processors called so far
    stages: list[Stage] = field(default_factory=list)
    known: dict[tuple[int, int | None], int] = field(default_factory=dict)  # see ``Step``
    moves: list[Move] = field(default_factory=list)
    processors: float = 0.0  # seconds
    search: float = 0.0
    fault: Exception | None = None
    look: tuple[int, ...] | None = None  # next tokens that the search must see read first

    def __post_init__(self) -> None:
        self.rows = self.lane.running


def take(turns: Sequence[Turn], logits: Tensor, detokenizer: Detokenizer, store: Store) -> None:
    """Advance every lane by one step on its places in ``logits``, float32 ``[rows, vocab]``.

    What fails in one lane ends that lane alone. A turn with a ``look`` waits to be resumed.
    """
    for turn in turns:
        turn.model = turn.scores = Stage(logits, turn.places)
    seconds = _normalise([turn for turn in turns if turn.lane.search.reads_logprobs])
    _reshape(turns)
    _finish(turns, seconds, detokenizer, store)


def resume(turns: Sequence[Turn], detokenizer: Detokenizer, store: Store) -> None:
    """The rest of turns that waited, now that what they looked at is given."""
    for turn in turns:
        turn.look = None
    _finish(turns, 0.0, detokenizer, store)


def _normalise(turns: Sequence[Turn]) -> float:
    """Give these turns log-softmax values; the seconds it took."""
    clock = perf_counter()
    if turns:
        scores = torch.log_softmax(_together(turns), dim=-1)
        _hand_out(turns, scores)
    return perf_counter() - clock


def _finish(turns: Sequence[Turn], seconds: float, detokenizer: Detokenizer, store: Store) -> None:
    """Choose, write down and follow; ``seconds`` went into the rows' log-softmax."""
    _foresee(turns)
    for turn in turns:
        _choose(turn)
    able = [turn for turn in turns if turn.fault is None and turn.look is None]
    clock = perf_counter()
    written = record(
        detokenizer, [Entry(turn.model, turn.stages, turn.moves, turn.lane.top_n) for turn in able]
    )
    seconds = (seconds + perf_counter() - clock) / max(1, sum(len(t.rows) for t in able))
    for turn, choices in zip(able, written, strict=True):
        times = Times.model_construct(
            forward=turn.forward,
            processors=turn.processors,
            search=turn.search,
            record=seconds * len(turn.rows),
            forward_rows=turn.sharers,
        )
        _guarded(turn, turn.lane.commit, turn.rows, turn.moves, choices, times, store, turn.draft)
    for turn in turns:
        dead = _dead_end(turn)
        if dead is not None:
            turn.lane.end("error", dead)
        elif isinstance(turn.fault, Fault):
            turn.lane.end("error", f"{turn.fault}.")
        elif isinstance(turn.fault, Refusal):
            turn.lane.end("error", str(turn.fault))
        elif turn.fault is not None:
            strategies = " | ".join(step.strategy for step in turn.lane.recipe.steps)
            log.error("%s failed", strategies, exc_info=turn.fault)  # without a visitor's words
            turn.lane.end("error", f"{type(turn.fault).__name__}: {turn.fault}")


def _dead_end(turn: Turn) -> str | None:
    """Which step left a row that had to go on no token, where that is the turn's fault."""
    if turn.fault is None or isinstance(turn.fault, Refusal):
        return None
    stages = [turn.model, *turn.stages]
    left = [(stage.rows != -torch.inf).sum(-1).tolist() for stage in stages]
    dead = [row for row, count in enumerate(left[-1]) if count == 0]
    if not dead or (len(dead) < len(turn.rows) and not isinstance(turn.fault, Fault)):
        return None
    held = turn.rows[dead[0]]
    views = [turn.lane.seen(depth, [held], NOTHING)[0] for depth in range(len(turn.stages))]
    end = dead_end(turn.lane.processors, views, [counts[dead[0]] for counts in left])
    return f"{turn.lane.processors[end.depth].info.id}: {end.why}" if end else None


def _guarded(turn: Turn, work: Callable[..., object], *arguments: object) -> None:
    try:
        work(*arguments)
    except Exception as error:
        turn.fault = error


def _reshape(turns: Sequence[Turn]) -> None:
    """Every lane's processors, in order; at each place those that are equal are called together."""
    for depth in range(max((len(turn.lane.processors) for turn in turns), default=0)):
        groups: dict[Hashable, list[Turn]] = {}
        for turn in turns:
            if turn.fault is None and depth < len(turn.lane.processors):
                groups.setdefault(turn.lane.shared[depth], []).append(turn)
        for group in groups.values():
            try:
                _process(group, depth)
            except Exception as error:
                if len(group) == 1:
                    group[0].fault = error
                for turn in group if len(group) > 1 else ():  # whose rows it was is not known
                    _guarded(turn, _process, [turn], depth)


def _process(group: Sequence[Turn], depth: int) -> None:
    clock = perf_counter()
    processor = group[0].lane.processors[depth]
    rows = [row for turn in group for row in turn.lane.seen(depth, turn.rows, turn.given)]
    scores = _together(group)
    views: list[Row] = rows * 2 if len(rows) == 1 else rows
    given = in_pairs(scores)
    out = processor(given, views)
    if out.shape != given.shape:
        raise Fault(
            f"{processor.info.id} returned scores of shape {tuple(out.shape)} for "
            f"{tuple(given.shape)}"
        )
    seconds = (perf_counter() - clock) / len(rows)
    if out is not given:  # else it changed nothing
        _hand_out(group, out)
    for turn in group:
        turn.stages.append(turn.scores)
        turn.processors += seconds * len(turn.rows)


def _together(turns: Sequence[Turn]) -> Tensor:
    """Their scores one below the other; no copy where they lie at equal distances already."""
    scores = turns[0].scores.scores
    if all(turn.scores.scores is scores for turn in turns):
        return taken(scores, [place for turn in turns for place in turn.scores.places])
    return torch.cat([turn.scores.rows for turn in turns])


def _hand_out(turns: Sequence[Turn], scores: Tensor) -> None:
    """The reverse: each turn gets as many rows of ``scores`` as it has, in order."""
    first = 0
    for turn in turns:
        turn.scores = Stage(scores, range(first, first + len(turn.rows)))
        first += len(turn.rows)


def _foresee(turns: Sequence[Turn]) -> None:
    """Find what several searches will ask for in the same scores: the likeliest, or a draw."""
    groups: dict[Hashable, list[Turn]] = {}
    for turn in turns:
        if turn.fault is None and turn.lane.search.chooses in ("likeliest", "draw"):
            key = turn.lane.search.chooses, id(turn.scores.scores)
            groups.setdefault(key, []).append(turn)
    for group in groups.values():
        if len(group) > 1:
            try:
                _find(group)
            except Exception as error:  # each lane does it itself, and is told what fails
                log.warning("tokens could not be found for all at once", exc_info=error)


def _find(group: Sequence[Turn]) -> None:
    clock = perf_counter()
    scores = _together(group)
    asked = [(turn, row, held) for turn in group for row, held in enumerate(turn.rows)]
    samples = [held.row.sample for _, _, held in asked]
    draws = group[0].lane.search.chooses == "draw"
    if draws:
        tokens = draw_each(scores, [turn.noise for turn, _, _ in asked], samples)
    else:
        tokens = argmax(scores).tolist()
    seconds = (perf_counter() - clock) / len(asked)
    for (turn, row, _), sample, token in zip(asked, samples, tokens, strict=True):
        turn.known[row, sample if draws else None] = token
        turn.search += seconds


def _choose(turn: Turn) -> None:
    if turn.fault is None:
        clock = perf_counter()
        try:
            turn.moves = turn.lane.choose(
                turn.rows, turn.scores.rows, turn.noise, turn.given, turn.known
            )
        except Look as look:
            turn.look = look.tokens
        except Exception as error:
            turn.fault = error
        turn.search += perf_counter() - clock
