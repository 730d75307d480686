"""Rows from which tokens are taken back: which processor does so, and what the row was before.

Keys and values need no care. They are stored by position, and a row that goes on from fewer tokens
overwrites those of the tokens taken back before anything reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from playground.engine.lanes.rows import Fault, LaneRow, Past
from playground.engine.lanes.step_tree import StepTree
from playground.trace import TakenBack
from strategies import Processor, Rewind, Row, Search, Strategy


def remembered(held: LaneRow) -> tuple[Past, ...]:
    """The past of the row that follows ``held``: the row at every shorter length."""
    text = replace(held.text, value="")
    length = len(held.text.value)
    now = Past(held.states, text, length, held.node, held.row.state, held.row.score)
    return (*held.past, now)


@dataclass(frozen=True)
class RewindRequest:
    """A ``rewind`` that the processor at ``depth`` requests; None where no processor does.

    ``states`` are those of all processors, which a processor may have replaced as it looked.
    """

    states: tuple[Any, ...]
    depth: int = 0
    rewind: Rewind | None = None


def requested_rewind(
    processors: Sequence[Processor], depths: Sequence[int], row: Row, states: Sequence[Any]
) -> RewindRequest:
    """The first request to take back tokens of ``row``, by the processors at ``depths``."""
    known = list(states)
    for depth in depths:
        rewind = processors[depth].rewind(replace(row, state=known[depth]))
        if rewind is not None:
            check(rewind, row, processors[depth].info.id, least=0)
            if rewind.count:
                return RewindRequest(tuple(known), depth, rewind)
            known[depth] = rewind.state
    return RewindRequest(tuple(known))


def check(rewind: Rewind, row: Row, strategy: str, least: int = 1) -> None:
    """Raise ``Fault`` where a row has fewer tokens than are to be taken back."""
    count = len(row.generated) - row.fixed
    if not least <= rewind.count <= count:
        raise Fault(f"{strategy} took back {rewind.count} tokens of {count}")


def rewound(
    held: LaneRow,
    rewind: Rewind,
    processors: Sequence[Processor],
    search: Search,
    tree: StepTree,
    depth: int | None = None,
) -> LaneRow:
    """``held`` without its last tokens; the processor at ``depth`` gets the state of the rewind.

    Where ``depth`` is None the search requested it and gets the state. If the rewind has a reason,
    it is recorded with the token that is generated there next.
    """
    tokens = held.row.tokens[: len(held.row.tokens) - rewind.count]
    keep = len(tokens) - held.row.prompt_length - held.row.fixed  # of those written here
    was = held.past[keep]
    nodes = _after(tree, held.node, keep)
    taken = tuple(tree.records[nodes[0]].taken_back)
    if rewind.why:
        records = [tree.records[node] for node in nodes]
        text, ids = "".join(record.text for record in records), [record.token for record in records]
        by: Strategy = search if depth is None else processors[depth]
        taken += (TakenBack(text=text, token_ids=ids, by=by.info.id, why=rewind.why),)
    else:
        for node in nodes:
            tree.thin(node)
    states = [
        processor.after_rewind(earlier, now)
        for processor, earlier, now in zip(processors, was.states, held.states, strict=True)
    ]
    state, score, sample = was.state, was.score, held.row.sample
    if depth is None:
        state, score = rewind.state, rewind.score
        sample = sample if rewind.sample is None else rewind.sample
    else:
        states[depth] = rewind.state
    return replace(
        held,
        row=replace(held.row, tokens=tokens, state=state, score=score, sample=sample, done=False),
        states=tuple(states),
        text=replace(was.text, value=held.text.value[: was.length]),
        node=was.node,
        reason=None,
        past=held.past[:keep],
        taken_back=taken,
    )


def _after(tree: StepTree, node: int | None, keep: int) -> list[int]:
    """The records on the path to ``node`` after the first ``keep``, in order."""
    found = []
    while node is not None and tree.records[node].index >= keep:
        found.append(node)
        node = tree.records[node].parent
    return found[::-1]
