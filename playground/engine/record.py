"""What is written down of every step: candidates, ranks, entropies and survivors, stage by stage.

All of it comes from one log-softmax and one top-k over the rows of a lane, and from the scores
that each stage left; nothing is sorted, and a stage that left few tokens is summed over those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from playground.engine.text import Reader
from playground.trace import Candidates, StageSummary
from strategies import Move

_FEW = 2048  # survivors that are gathered rather than summed in place
_FLOOR = -1e4  # stands for −inf where p · log p is summed: p is 0 there
_UPLIFTED = 4  # likeliest tokens after the last stage, listed even if the model ranked them low


@dataclass(frozen=True)
class Stage:
    """Scores after one stage, float32 ``[rows, vocab]``, and their sums per row."""

    scores: Tensor
    normaliser: Tensor  # [rows], log of the summed exponentials
    summaries: list[StageSummary]


def summarise(scores: Tensor) -> Stage:
    """Survivors and entropy (nats) of each row."""
    survivors = (scores > -torch.inf).sum(-1).tolist()
    if max(survivors) <= _FEW:
        kept = [row[row > -torch.inf] for row in scores]
        normaliser = torch.stack([k.logsumexp(-1) for k in kept])
        entropy = torch.stack(
            [_entropy(k - n) for k, n in zip(kept, normaliser, strict=True)]
        ).tolist()
    else:
        normaliser = scores.logsumexp(-1)
        entropy = _entropy(scores - normaliser[:, None]).tolist()
    summaries = [
        StageSummary(survivors=n, entropy=max(0.0, h))
        for n, h in zip(survivors, entropy, strict=True)
    ]
    return Stage(scores, normaliser, summaries)


def _entropy(logprobs: Tensor) -> Tensor:
    return -(logprobs.exp() * logprobs.clamp_min(_FLOOR)).sum(-1)


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
        raw_chosen, final_chosen = raw[parents, tokens], final[parents, tokens]
        raw_ranks = (raw[parents] > raw_chosen[:, None]).sum(-1) + 1
        ranks = raw_ranks
        if stages:
            ranks = (final[parents] > final_chosen[:, None]).sum(-1) + 1
        entropies = _entropy(raw).tolist()
        ids = self._candidates(raw, final, stages, parents, tokens)
        # [1 + stages, moves, candidates]: log-probabilities raw, then after every stage
        table = [raw[parents[:, None], ids]]
        for stage in stages:
            table.append(stage.scores[parents[:, None], ids] - stage.normaliser[parents, None])
        logprobs = torch.stack(table)
        last = logprobs[-1].gather(1, (ids == tokens[:, None]).int().argmax(-1, keepdim=True))
        probabilities = logprobs.exp().tolist()
        rows, raw_logprobs, finals = ids.tolist(), raw_chosen.tolist(), last[:, 0].tolist()
        positions, raw_positions = ranks.tolist(), raw_ranks.tolist()
        return [
            Choice(
                raw_logprob=raw_logprobs[i],
                logprob=finals[i],
                raw_rank=raw_positions[i],
                rank=positions[i],
                raw_entropy=max(0.0, entropies[move.parent]),
                stages=[stage.summaries[move.parent] for stage in stages],
                candidates=self._table(rows[i], [level[i] for level in probabilities]),
            )
            for i, move in enumerate(moves)
        ]

    def _candidates(
        self, raw: Tensor, final: Tensor, stages: Sequence[Stage], parents: Tensor, tokens: Tensor
    ) -> Tensor:
        """Ids to list per move, int64 ``[moves, candidates]``; a repeated id stands twice.

        The model's likeliest, the likeliest after the last stage, and the chosen token.
        """
        n = min(self.top_n, raw.shape[-1])
        listed = raw.topk(n, dim=-1).indices
        parts = [listed[parents]]
        if stages:
            uplifted = final.topk(min(_UPLIFTED, n), dim=-1).indices
            parts.append(uplifted[parents])
        parts.append(tokens[:, None])
        return torch.cat(parts, dim=-1)

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
