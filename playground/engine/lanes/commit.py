"""A lane's moves become step records, its next rows, and copies of keys and values for forks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from playground.engine.lanes.detokenizer import Text
from playground.engine.lanes.ends import find_stop
from playground.engine.lanes.lane import Lane
from playground.engine.lanes.record import Choice
from playground.engine.lanes.rewinding import remembered, requested_rewind, rewound
from playground.engine.lanes.rows import Fault, LaneRow
from playground.engine.lanes.slots import Store
from playground.trace import FinishReason, StepRecord, Times
from strategies import Move, Rewind, Row


@dataclass(frozen=True)
class Chosen:
    """The moves of a lane's search from ``rows``, each with what is recorded of it.

    ``logits`` are what is kept of those each was chosen from, see ``playground.trace.logits``.
    ``draft`` is the token that was drafted at this position, where one was; ``rewinds`` are rows
    that the search takes back instead.
    """

    rows: Sequence[LaneRow]
    moves: Sequence[Move]
    choices: Sequence[Choice]
    logits: Sequence[str]
    times: Times
    draft: int | None = None
    rewinds: Sequence[Rewind] = ()


def commit(lane: Lane, chosen: Chosen, store: Store) -> None:
    """Write the records, and replace the lane's rows by the next ones. Raises ``Fault``."""
    _check(lane, chosen)
    at = perf_counter() - lane.started
    moves, choices = chosen.moves, chosen.choices
    if lane.asking:
        piece = lane.detokenizer.piece(moves[0].token)
        lane.view.offer = _record(lane, chosen.rows[0], chosen, 0, piece, at)
        lane.end("waiting")
        return
    outcomes = [lane.outcome(chosen.rows[m.parent], m.parent, m.token) for m in moves]
    reasons: list[FinishReason | None] = [
        reason or ("stop" if move.done else None)
        for move, (reason, _) in zip(moves, outcomes, strict=True)
    ]
    nexts, back = [], []
    for number, (move, choice) in enumerate(zip(moves, choices, strict=True)):
        parent = chosen.rows[move.parent]
        states = _observed(lane, parent, move, choice)
        row = _continued(parent.row, move, done=reasons[number] is not None)
        request = requested_rewind(lane.processors, lane.going_back, row, states)
        if request.rewind is not None:  # so the text does not end here
            reasons[number], row = None, replace(row, done=False)
        back.append(request)
        nexts.append(LaneRow(row, request.states, outcomes[number][1], None, -1, reasons[number]))
    slots = _place(lane, chosen, reasons, store)
    for number, move in enumerate(moves):
        parent, held, request = chosen.rows[move.parent], nexts[number], back[number]
        text = held.text
        if held.reason == "stop":
            forks = sum(other.parent == move.parent for other in moves) > 1
            parent, text = _cut_at_stop(lane, parent, text, forks=forks)
        if held.reason is not None:
            text = lane.detokenizer.finish(text, held.row.tokens)
        added = text.value[len(parent.text.value) :]
        node = lane.view.tree.add(_record(lane, parent, chosen, number, added, at))
        past = remembered(parent) if lane.remembers and held.reason is None else ()
        held = replace(held, text=text, node=node, slot=slots[number], past=past)
        if request.rewind is not None:
            lane.reached(len(held.row.generated))
            held = rewound(
                held, request.rewind, lane.processors, lane.search, lane.view.tree, request.depth
            )
        nexts[number] = held
    for rewind in chosen.rewinds:
        parent = chosen.rows[rewind.parent]
        lane.reached(len(parent.row.generated))
        nexts.append(rewound(parent, rewind, lane.processors, lane.search, lane.view.tree))
    if lane.view.weighing is not None:
        lane.view.weighing.add(chosen.rows, lane.passed, nexts, lane.detokenizer)
    earlier = [held for held in lane.view.rows if held.reason is not None]
    waiting = [held for held in lane.view.rows if held.waits]
    lane.view.rows = tuple(
        _refilled(lane, [*_without_slots([*earlier, *nexts], chosen, slots), *waiting])
    )
    lane.index += 1
    if not lane.running:
        lane.view.done = True


def _check(lane: Lane, chosen: Chosen) -> None:
    """Raise ``Fault`` where a removed token was chosen."""
    for choice in chosen.choices:
        for depth, stage in enumerate(choice.stages):
            if stage.survivors == 0:
                raise Fault(f"{lane.processors[depth].info.id} removed every token")
        if not choice.logprob > -math.inf:  # NaN as well
            raise Fault(f"a token was chosen with the log-probability {choice.logprob}")


def _place(
    lane: Lane, chosen: Chosen, reasons: Sequence[FinishReason | None], store: Store
) -> list[int]:
    """Each move's slot, -1 for a row that waits for one.

    Of several moves from one row the first keeps the row's slot; for the others, what was generated
    so far is copied to theirs.
    """
    parents = [chosen.rows[move.parent] for move in chosen.moves]
    running = [p.slot for p, reason in zip(parents, reasons, strict=True) if reason is None]
    running += [chosen.rows[rewind.parent].slot for rewind in chosen.rewinds]
    # Independent rows may wait at the first step, when all that they have is in every slot.
    most = lane.search.width() if lane.index == 0 and lane.search.independent else lane.max_rows
    if len(running) > most:
        raise Fault(f"the search returned {len(running)} rows and owns {most}")
    kept = set(running)
    spare = [slot for slot in lane.slots.group() if slot not in kept]
    slots, sources, targets = [], [], []
    for parent, reason in zip(parents, reasons, strict=True):
        slot = parent.slot
        if reason is None and slot in kept:
            kept.remove(slot)
        elif reason is None and not spare:
            slot = -1
        elif reason is None:
            slot = spare.pop(0)
            sources.append(parent.slot)
            targets.append(slot)
        slots.append(slot)
    if targets:
        # What the lane goes on with is in all of its slots.
        longest = max(len(held.row.generated) for held in chosen.rows)
        lane.slots.copy(store, sources, targets, lane.before, longest)
    return slots


def _without_slots(rows: Sequence[LaneRow], chosen: Chosen, slots: Sequence[int]) -> list[LaneRow]:
    """The rows; a finished one whose slot another row's text was copied to has none any more.

    ``slots`` are those of the moves.
    """
    pairs = zip(chosen.moves, slots, strict=True)
    taken = {slot for move, slot in pairs if slot != chosen.rows[move.parent].slot}
    return [
        replace(held, slot=-1) if held.reason is not None and held.slot in taken else held
        for held in rows
    ]


def _refilled(lane: Lane, rows: Sequence[LaneRow]) -> list[LaneRow]:
    """The rows; those that wait get the slots that no running row has any more."""
    running = {held.slot for held in rows if held.reason is None}
    free = [slot for slot in lane.slots.group() if slot not in running]
    refilled, begun = [], set()
    for held in rows:
        if held.reason is None and held.slot < 0:
            slot = free.pop(0) if free else -1
            begun.add(slot)
            held = replace(held, slot=slot, waits=slot < 0)
        refilled.append(held)
    return [
        replace(held, slot=-1) if held.reason is not None and held.slot in begun else held
        for held in refilled
    ]


def _cut_at_stop(lane: Lane, parent: LaneRow, text: Text, *, forks: bool) -> tuple[LaneRow, Text]:
    """``text`` before its stop string, and ``parent`` without its share of the stop string.

    ``forks`` says that several rows follow the parent.
    """
    known = parent.text.value
    cut = find_stop(text.value, len(text.value) - len(known), lane.ends.stop)
    if cut is None:  # the search ended it
        return parent, text
    tree, over = lane.view.tree, len(known) - cut
    nodes = tree.ends_with(parent.node, over)
    if nodes:
        others = [held.node for held in lane.view.rows if held.row is not parent.row]
        others += [parent.node] if forks else []
        parent = replace(parent, node=tree.cut(nodes, over, others), text=Text(known[:cut]))
    return parent, Text(text.value[:cut], start=len(parent.row.tokens) + 1)


def _continued(row: Row, move: Move, *, done: bool) -> Row:
    return Row(
        (*row.tokens, move.token),
        row.prompt_length,
        move.score,
        move.state,
        row.sample if move.sample is None else move.sample,
        row.seed,
        done,
        fixed=row.fixed,
    )


def _observed(lane: Lane, parent: LaneRow, move: Move, choice: Choice) -> tuple[Any, ...]:
    """The processors' states after a move."""
    return tuple(
        p.observe(state, move.token, given if p.observes == "given" else choice.logprob)
        if p.stateful
        else state
        for p, state, given in zip(
            lane.processors, parent.states, choice.given_logprobs, strict=True
        )
    )


def _record(
    lane: Lane, parent: LaneRow, chosen: Chosen, number: int, text: str, at: float
) -> StepRecord:
    """The record of the move of this ``number``, which adds ``text``."""
    move, choice = chosen.moves[number], chosen.choices[number]
    # Tokens that a person picked before, or that a search writes again, are read ahead like drafts,
    # but they are none.
    draft = None if lane.search.asks or lane.search.rewinds else chosen.draft
    return StepRecord.of(
        index=len(parent.row.generated) - lane.before,
        parent=parent.node,
        token=move.token,
        text=text,
        special=move.token in lane.detokenizer.special,
        raw_logprob=choice.raw_logprob,
        logprob=choice.logprob,
        raw_rank=choice.raw_rank,
        rank=choice.rank,
        raw_entropy=choice.raw_entropy,
        stages=choice.stages,
        candidates=choice.candidates,
        logits=chosen.logits[number],
        score=move.score,
        draft=draft,
        draft_text="" if draft is None else lane.detokenizer.piece(draft),
        taken_back=list(parent.taken_back),
        times=chosen.times,
        at=at,
    )
