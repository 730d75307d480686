"""What is written down of every step: candidates, ranks, entropies and survivors, stage by stage.

All of it comes from one log-softmax, one top-k over the rows of a lane and one more over what its
last stage left, and from a sum over each stage; nothing is sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from playground.engine.text import Reader
from playground.trace import Candidates, StageSummary
from strategies import Move

_DEEP = -80.0  # scores this far below the best weigh nothing in float32, and −inf is slow to exp
_UPLIFTED = 4  # likeliest tokens after the last stage, listed even if the model ranked them low


@dataclass(frozen=True)
class Stage:
    """Scores after one stage, float32 ``[rows, vocab]``, and their sums per row."""

    scores: Tensor
    normaliser: Tensor  # [rows], log of the summed exponentials
    summaries: list[StageSummary]


def summarise(scores: Tensor) -> Stage:
    """Survivors and entropy (nats) of each row."""
    # A comparison written as floats is several times faster than one as booleans, and exact.
    left = torch.gt(scores, -torch.inf, out=torch.empty_like(scores)).sum(-1)
    best = scores.amax(-1)
    below = (scores - best[:, None]).clamp_min_(_DEEP)
    weights = below.exp()
    total = weights.sum(-1)
    spread = total.log()
    entropy = spread - weights.mul_(below).sum(-1) / total
    summaries = [
        StageSummary(survivors=int(n), entropy=max(0.0, h))
        for n, h in zip(left.tolist(), entropy.tolist(), strict=True)
    ]
    return Stage(scores, best + spread, summaries)


def _entropy(logprobs: Tensor) -> Tensor:
    below = logprobs.clamp_min(_DEEP)
    return -(below.exp().mul_(below)).sum(-1)


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


class Recorder:
    """Writes down the moves of one lane. ``top_n`` candidates are kept of every distribution."""

    def __init__(self, reader: Reader, top_n: int) -> None:
        self.reader, self.top_n = reader, top_n

    def record(self, raw: Tensor, stages: Sequence[Stage], moves: Sequence[Move]) -> list[Choice]:
        """A ``Choice`` per move.

        ``raw`` is the model's log-softmax, float32 ``[rows, vocab]``; ``stages`` are in order.
        """
        if not moves:
            return []
        device = raw.device
        parents = torch.tensor([move.parent for move in moves], device=device)
        tokens = torch.tensor([move.token for move in moves], device=device)
        final = stages[-1].scores if stages else raw
        raw_top = raw.topk(min(self.top_n, raw.shape[-1]), dim=-1)
        raw_ranks = ranks = _ranks(raw, raw_top.values, parents, tokens)
        listed = [raw_top.indices[parents], tokens[:, None]]
        if stages:
            top = final.topk(raw_top.values.shape[-1], dim=-1)
            ranks = _ranks(final, top.values, parents, tokens)
            likely = top.indices[parents, :_UPLIFTED]
            left = top.values[parents, :_UPLIFTED] > -torch.inf
            listed.insert(1, torch.where(left, likely, tokens[:, None]))
        # The model's likeliest, the likeliest after the last stage, and the chosen token.
        ids = torch.cat(listed, dim=-1)  # [moves, candidates]; a repeated id stands twice
        entropies = _entropy(raw).tolist()
        # [1 + stages, moves, candidates]: log-probabilities raw, then after every stage
        table = [raw[parents[:, None], ids]]
        for stage in stages:
            table.append(stage.scores[parents[:, None], ids] - stage.normaliser[parents, None])
        logprobs = torch.stack(table)
        probabilities, rows = logprobs.exp().tolist(), ids.tolist()
        chosen = logprobs[:, :, -1].tolist()
        return [
            Choice(
                raw_logprob=chosen[0][i],
                logprob=chosen[-1][i],
                raw_rank=raw_ranks[i],
                rank=ranks[i],
                raw_entropy=max(0.0, entropies[move.parent]),
                stages=[stage.summaries[move.parent] for stage in stages],
                candidates=self._table(rows[i], [level[i] for level in probabilities]),
            )
            for i, move in enumerate(moves)
        ]

    def _table(self, ids: list[int], levels: list[list[float]]) -> Candidates:
        """Repeated ids dropped, the rest in falling raw probability."""
        first = {token: place for place, token in reversed(list(enumerate(ids)))}
        places = sorted(first.values(), key=lambda place: -levels[0][place])
        return Candidates.model_construct(
            ids=[ids[p] for p in places],
            texts=[self.reader.piece(ids[p]) for p in places],
            raw=[levels[0][p] for p in places],
            stages=[[level[p] for p in places] for level in levels[1:]],
        )


def _ranks(scores: Tensor, top: Tensor, parents: Tensor, tokens: Tensor) -> list[int]:
    """Each move's rank from 1: how many tokens of its row score higher, and itself.

    ``top`` holds each row's highest scores, falling; a token among them needs no count of all.
    """
    chosen = scores[parents, tokens]
    ranks: list[int] = (top[parents] > chosen[:, None]).sum(-1).add_(1).tolist()
    for i, rank in enumerate(ranks):
        if rank > top.shape[-1]:
            ranks[i] = int((scores[parents[i]] > chosen[i]).sum()) + 1
    return ranks
