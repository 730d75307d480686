"""What is written down of every step: candidates, ranks, entropies and survivors, stage by stage.

All of it comes from one top-k and a few sums over the rows of every lane at once; nothing is
sorted. A row's figures do not depend on the rows beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from playground.engine.text import Reader
from playground.trace import Candidates, StageSummary
from strategies import Move

_DEEP = -80.0  # scores this far below the best weigh nothing in float32, and −inf is slow to exp
_UPLIFTED = 4  # likeliest tokens after the last stage, listed even if the model ranked them low
_CHUNK = 16  # rows summed at once, so that what is computed of them stays in the cache


@dataclass(frozen=True)
class Entry:
    """One lane's moves of a step, with the distributions they were chosen from.

    ``places`` are its rows among the rows of the step; ``stages`` hold its scores after each
    processor, float32 ``[rows, vocab]``.
    """

    places: Sequence[int]
    stages: Sequence[Tensor]
    moves: Sequence[Move]
    top_n: int


@dataclass(frozen=True)
class Choice:
    """What is recorded of one move, before its text and its place in the tree are known."""

    raw_logprob: float
    logprob: float
    raw_rank: int
    rank: int
    raw_entropy: float
    stages: list[StageSummary]
    candidates: Candidates


@dataclass(frozen=True)
class _Level:
    """Rows of scores ``[rows, vocab]`` and what is known of each."""

    scores: Tensor
    values: Tensor  # [rows, k], the highest, falling
    indices: Tensor
    entropy: list[float]  # nats
    survivors: list[int]
    normaliser: Tensor  # [rows], log of the summed exponentials


def in_pairs(scores: Tensor) -> Tensor:
    """These rows ``[rows, vocab]``, one by itself given twice.

    Torch splits a sum over a single row between its threads, and over several rows by row: only in
    company has a row the same last bits in every company.
    """
    return scores.expand(2, -1) if len(scores) == 1 else scores


def record(reader: Reader, raw: Tensor, entries: Sequence[Entry]) -> list[list[Choice]]:
    """A ``Choice`` per move of every entry; ``raw`` is the log-softmax of all rows of the step."""
    moves = [(entry, move) for entry in entries for move in entry.moves]
    if not moves:
        return [[] for _ in entries]
    most = min(max(entry.top_n for entry in entries), raw.shape[-1])
    model = _level(raw, most)
    stacked, first = _stacked(entries)
    after = _level(stacked, most) if stacked is not None else model
    device = raw.device
    tokens = torch.tensor([move.token for _, move in moves], device=device)
    rows = torch.tensor([entry.places[move.parent] for entry, move in moves], device=device)
    # The last stage's row of each move; the model's own stands in where a recipe has no stage.
    lasts = [first[id(e.stages[-1])] + m.parent if e.stages else -1 for e, m in moves]
    staged = torch.tensor([last >= 0 for last in lasts], device=device)
    last = torch.tensor([max(last, 0) for last in lasts], device=device)
    likely = after.indices[last, :_UPLIFTED]
    kept = (after.values[last, :_UPLIFTED] > -torch.inf) & staged[:, None]
    # The model's likeliest, the likeliest after the last stage, and the chosen token.
    ids = torch.cat(
        [model.indices[rows], torch.where(kept, likely, tokens[:, None]), tokens[:, None]], dim=-1
    )  # [moves, candidates]; a repeated id stands more than once
    raw_ranks = _ranks(model, rows, tokens)
    ranks = _ranks(after, last, tokens) if stacked is not None else raw_ranks
    table = raw[rows[:, None], ids]
    probabilities, listed, chosen = table.exp().tolist(), ids.tolist(), table[:, -1].tolist()
    later, finals = _later(moves, first, after, ids) if stacked is not None else ([], [])
    found: list[list[Choice]] = []
    number, at = 0, 0
    for entry in entries:
        choices = []
        for move in entry.moves:
            own = later[at : at + len(entry.stages)]
            at += len(entry.stages)
            place = entry.places[move.parent]
            choices.append(
                Choice(
                    raw_logprob=chosen[number],
                    logprob=finals[at - 1] if own else chosen[number],
                    raw_rank=raw_ranks[number],
                    rank=ranks[number] if own else raw_ranks[number],
                    raw_entropy=max(0.0, model.entropy[place]),
                    stages=[
                        _summary(after, first[id(stage)] + move.parent) for stage in entry.stages
                    ],
                    candidates=_candidates(
                        reader, listed[number], most, entry.top_n, [probabilities[number], *own]
                    ),
                )
            )
            number += 1
        found.append(choices)
    return found


def survivors(summaries: Sequence[StageSummary]) -> int:
    """How few tokens a stage left to any row."""
    return min(summary.survivors for summary in summaries)


def _stacked(entries: Sequence[Entry]) -> tuple[Tensor | None, dict[int, int]]:
    """All stages' scores one below the other, and each tensor's first row by its identity."""
    parts: list[Tensor] = []
    first: dict[int, int] = {}
    count = 0
    for entry in entries:
        for stage in entry.stages if entry.moves else ():
            if id(stage) not in first:
                first[id(stage)] = count
                parts.append(stage)
                count += len(stage)
    if not parts:
        return None, first
    return (parts[0] if len(parts) == 1 else torch.cat(parts)), first


def _level(scores: Tensor, count: int) -> _Level:
    """The ``count`` highest, survivors, and entropy of each row."""
    values, indices, entropy, left, totals = [], [], [], [], []
    for rows in _chunks(scores):
        n = len(rows)
        rows = in_pairs(rows)
        top = rows.topk(count, dim=-1)
        # A comparison written as floats is several times faster than one as booleans, and exact.
        left += torch.gt(rows, -torch.inf, out=torch.empty_like(rows)).sum(-1).tolist()[:n]
        below = (rows - top.values[:, :1]).clamp_min_(_DEEP)
        weights = below.exp()
        total = weights.sum(-1)
        spread = total.log()
        entropy += (spread - weights.mul_(below).sum(-1) / total).tolist()[:n]
        totals.append((top.values[:, 0] + spread)[:n])
        values.append(top.values[:n])
        indices.append(top.indices[:n])
    return _Level(
        scores,
        torch.cat(values),
        torch.cat(indices),
        entropy,
        [int(n) for n in left],
        torch.cat(totals),
    )


def _chunks(scores: Tensor) -> Iterator[Tensor]:
    for start in range(0, len(scores), _CHUNK):
        yield scores[start : start + _CHUNK]


def _summary(level: _Level, row: int) -> StageSummary:
    return StageSummary.model_construct(
        survivors=level.survivors[row], entropy=max(0.0, level.entropy[row])
    )


def _later(
    moves: Sequence[tuple[Entry, Move]], first: dict[int, int], after: _Level, ids: Tensor
) -> tuple[list[list[float]], list[float]]:
    """Each move's candidates after each of its stages, and the chosen token's log-probability."""
    of, rows = [], []
    for number, (entry, move) in enumerate(moves):
        for stage in entry.stages:
            of.append(number)
            rows.append(first[id(stage)] + move.parent)
    at = torch.tensor(rows, device=ids.device)
    wanted = ids[torch.tensor(of, device=ids.device)]
    logprobs = after.scores[at[:, None], wanted] - after.normaliser[at, None]
    probabilities: list[list[float]] = logprobs.exp().tolist()
    chosen: list[float] = logprobs[:, -1].tolist()
    return probabilities, chosen


def _ranks(level: _Level, rows: Tensor, tokens: Tensor) -> list[int]:
    """Each token's rank in its row, from 1: how many score higher, and itself."""
    chosen = level.scores[rows, tokens]
    ranks: list[int] = (level.values[rows] > chosen[:, None]).sum(-1).add_(1).tolist()
    for i, rank in enumerate(ranks):
        if rank > level.values.shape[-1]:  # not among the highest: only now are all counted
            ranks[i] = int((level.scores[rows[i]] > chosen[i]).sum()) + 1
    return ranks


def _candidates(
    reader: Reader, ids: list[int], most: int, top_n: int, levels: list[list[float]]
) -> Candidates:
    """Repeated ids and those past ``top_n`` dropped, the rest in falling raw probability."""
    wanted = [*range(top_n), *range(most, len(ids))] if top_n < most else range(len(ids))
    first: dict[int, int] = {}
    for place in wanted:
        first.setdefault(ids[place], place)
    raw = levels[0]
    places = sorted(first.values(), key=lambda place: -raw[place])
    return Candidates.model_construct(
        ids=[ids[p] for p in places],
        texts=[reader.piece(ids[p]) for p in places],
        raw=[raw[p] for p in places],
        stages=[[level[p] for p in places] for level in levels[1:]],
    )
