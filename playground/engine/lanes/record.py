"""What is recorded of every move: its candidates and their probabilities, ranks, entropies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from playground.engine.lanes.detokenizer import Detokenizer
from playground.engine.lanes.row_figures import RowFigures, Wanted
from playground.engine.lanes.stages import ScoreBatch, Stage
from playground.trace import Candidates, StageSummary
from strategies import Move, Processor

_UPLIFTED = 4  # likeliest tokens after the last stage, listed even if the model ranked them low


@dataclass(frozen=True)
class Entry:
    """One lane's moves of a step, with the distributions they were chosen from.

    ``model`` holds the logits of its rows, ``stages`` the scores after each of its ``processors``.
    """

    model: Stage
    stages: Sequence[Stage]
    moves: Sequence[Move]
    top_n: int
    processors: Sequence[Processor] = ()  # none: their thresholds are not recorded


@dataclass(frozen=True)
class Choice:
    """What is recorded of one move, before its text and its node in the tree are known."""

    raw_logprob: float
    logprob: float
    given_logprobs: list[float]  # in the scores that each processor was given
    raw_rank: int
    rank: int
    raw_entropy: float
    stages: list[StageSummary]
    candidates: Candidates


def choices(detokenizer: Detokenizer, entries: Sequence[Entry]) -> list[list[Choice]]:
    """A ``Choice`` per move of every entry."""
    moves = [(entry, move) for entry in entries for move in entry.moves]
    if not moves:
        return [[] for _ in entries]
    most = min(max(entry.top_n for entry in entries), entries[0].model.batch.scores.shape[-1])
    figures = RowFigures(_wanted(entries), most)
    # The rows of each move, one a stage; the model's own is the first, and the last without stages.
    rows = [
        [figures.row(stage, move.parent) for stage in (entry.model, *entry.stages)]
        for entry, move in moves
    ]
    ids = _listed(figures, rows, [move.token for _, move in moves])
    every = [row for own in rows for row in own]
    counts = torch.tensor([len(own) for own in rows], device=ids.device)
    scores = figures.scores(every, ids.repeat_interleave(counts, 0))
    logprobs = figures.logprobs(every, scores)
    probabilities, chosen = logprobs.exp().tolist(), logprobs[:, -1].tolist()
    lasts = counts.cumsum(0) - 1
    ends = torch.cat([lasts - counts + 1, lasts])  # of each move the first row and the last
    ranked = figures.ranks([every[i] for i in ends.tolist()], scores[ends, -1:])
    raw_ranks, ranks = ranked[: len(rows)], ranked[len(rows) :]
    listed = ids.tolist()
    found: list[list[Choice]] = []
    number, at = 0, 0
    for entry in entries:
        own_choices = []
        for _ in entry.moves:
            first = rows[number][0]
            after = at + len(rows[number]) - 1  # of the last stage
            levels = probabilities[at : after + 1]
            own_choices.append(
                Choice(
                    raw_logprob=chosen[at],
                    logprob=chosen[after],
                    given_logprobs=chosen[at:after],
                    raw_rank=raw_ranks[number],
                    rank=ranks[number],
                    raw_entropy=max(0.0, figures.entropy[first]),
                    stages=_summaries(figures, entry.processors, rows[number]),
                    candidates=_candidates(detokenizer, listed[number], most, entry.top_n, levels),
                )
            )
            number, at = number + 1, after + 1
        found.append(own_choices)
    return found


def _summaries(
    figures: RowFigures, processors: Sequence[Processor], rows: Sequence[int]
) -> list[StageSummary]:
    """A summary of each stage; ``rows`` are the model's own and one for each stage."""
    thresholds: list[float | None] = [None] * (len(rows) - 1)
    for stage, (processor, given) in enumerate(zip(processors, rows, strict=False)):
        thresholds[stage] = _threshold(processor, figures, given)
    return [
        figures.summary(row, threshold) for row, threshold in zip(rows[1:], thresholds, strict=True)
    ]


def _threshold(processor: Processor, figures: RowFigures, given: int) -> float | None:
    """A processor's threshold in the row of scores it was given; None where it has none.

    A plugin that fails to compute it has none, and its lane goes on.
    """
    has_one = type(processor).threshold is not Processor.threshold
    if not has_one or processor.is_neutral(processor.params):
        return None
    try:
        threshold = processor.threshold(figures.distribution(given))
        return threshold if threshold is None or math.isfinite(threshold) else None
    except Exception:
        return None


def _wanted(entries: Sequence[Entry]) -> list[Wanted]:
    """The rows that moves were chosen from, at every stage, those of one batch together.

    The highest scores are wanted of the model's own rows and of those of the last stages.
    """
    rows: dict[ScoreBatch, set[int]] = {}
    ends: set[ScoreBatch] = set()
    staged: set[ScoreBatch] = set()
    for entry in entries:
        for stage in (entry.model, *entry.stages) if entry.moves else ():
            rows.setdefault(stage.batch, set()).update(
                stage.rows[move.parent] for move in entry.moves
            )
        ends |= {entry.model.batch} | {stage.batch for stage in entry.stages[-1:]}
        staged |= {stage.batch for stage in entry.stages}
    return [
        Wanted(batch, sorted(own), batch in ends, batch in staged) for batch, own in rows.items()
    ]


def _listed(figures: RowFigures, rows: Sequence[Sequence[int]], tokens: Sequence[int]) -> Tensor:
    """Each move's candidates: the model's likeliest, those after the last stage, the chosen token.

    An id may be repeated.
    """
    device = figures.indices.device
    firsts = torch.tensor([own[0] for own in rows], device=device)
    lasts = torch.tensor([own[-1] for own in rows], device=device)
    chosen = torch.tensor(tokens, device=device)[:, None]
    likely = figures.indices[lasts, :_UPLIFTED]
    kept = (figures.values[lasts, :_UPLIFTED] > -torch.inf) & (lasts != firsts)[:, None]
    return torch.cat([figures.indices[firsts], torch.where(kept, likely, chosen), chosen], dim=-1)


def _candidates(
    detokenizer: Detokenizer, ids: list[int], most: int, top_n: int, levels: list[list[float]]
) -> Candidates:
    """The candidates of one move: no id twice, none past ``top_n``, in falling raw probability.

    The first ``most`` ids are the likeliest of all, in that order already.
    """
    count, raw = min(top_n, most), levels[0]
    found, positions = set(ids[:count]), list(range(count))
    for position in range(most, len(ids)):
        if ids[position] not in found:
            found.add(ids[position])
            positions.append(position)
    if len(positions) > count:
        positions.sort(key=lambda position: -raw[position])
    listed = [ids[p] for p in positions]
    return Candidates.of(
        ids=listed,
        texts=[detokenizer.piece(token) for token in listed],
        raw=[raw[p] for p in positions],
        stages=[[level[p] for p in positions] for level in levels[1:]],
    )
