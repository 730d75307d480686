"""What is written down of every step: candidates, ranks, entropies and survivors, stage by stage.

All of it comes from a few sums over the rows of every lane at once, and the highest of some of
them; nothing is sorted. A row's figures do not depend on the rows beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from playground.engine.lanes.detokenizer import Detokenizer
from playground.trace import Candidates, StageSummary
from strategies import Move
from strategies.ops.topk import topk

_DEEP = -80.0  # scores this far below the best weigh nothing in float32, and −inf is slow to exp
_UPLIFTED = 4  # likeliest tokens after the last stage, listed even if the model ranked them low
_CHUNK = 16  # rows summed at once, so that what is computed of them stays in the cache


@dataclass(frozen=True)
class Stage:
    """A lane's scores at one point of its recipe: rows ``places`` of ``scores`` ``[any, vocab]``.

    Other lanes may have rows of the same ``scores``.
    """

    scores: Tensor
    places: Sequence[int]

    @property
    def rows(self) -> Tensor:
        return taken(self.scores, self.places)


@dataclass(frozen=True)
class Entry:
    """One lane's moves of a step, with the distributions they were chosen from.

    ``stages`` hold its scores after each processor; ``model`` is what all began with.
    """

    model: Stage
    stages: Sequence[Stage]
    moves: Sequence[Move]
    top_n: int


@dataclass(frozen=True)
class Choice:
    """What is recorded of one move, before its text and its place in the tree are known."""

    raw_logprob: float
    logprob: float
    given_logprobs: list[float]  # what each processor found it with
    raw_rank: int
    rank: int
    raw_entropy: float
    stages: list[StageSummary]
    candidates: Candidates


def taken(scores: Tensor, places: Sequence[int]) -> Tensor:
    """These rows of ``scores``: a view where they lie at equal distances, else a copy."""
    view = _view(scores, places)
    if view is None:
        return scores.index_select(0, torch.tensor(places, device=scores.device))
    return view


def _view(scores: Tensor, places: Sequence[int]) -> Tensor | None:
    first, last = places[0], places[-1]
    step = places[1] - first if len(places) > 1 else 1
    if step > 0 and list(places) == list(range(first, last + 1, step)):
        return scores[first : last + 1 : step]
    return None


def in_pairs(scores: Tensor) -> Tensor:
    """These rows ``[rows, vocab]``, one by itself given twice.

    Torch splits a sum over a single row between its threads, and over several rows by row: only in
    company has a row the same last bits in every company.
    """
    return scores.expand(2, -1) if len(scores) == 1 else scores


def record(detokenizer: Detokenizer, entries: Sequence[Entry]) -> list[list[Choice]]:
    """A ``Choice`` per move of every entry."""
    moves = [(entry, move) for entry in entries for move in entry.moves]
    if not moves:
        return [[] for _ in entries]
    most = min(max(entry.top_n for entry in entries), entries[0].model.scores.shape[-1])
    level = _Level(entries, most)
    # The rows of each move, one a stage; the model's own is the first, and the last without stages.
    rows = [
        [level.row(stage, move.parent) for stage in (entry.model, *entry.stages)]
        for entry, move in moves
    ]
    ids = _listed(level, rows, [move.token for _, move in moves])
    every = [row for own in rows for row in own]
    counts = torch.tensor([len(own) for own in rows], device=ids.device)
    scores = level.scores(every, ids.repeat_interleave(counts, 0))
    logprobs = level.logprobs(every, scores)
    probabilities, chosen = logprobs.exp().tolist(), logprobs[:, -1].tolist()
    lasts = counts.cumsum(0) - 1
    ends = torch.cat([lasts - counts + 1, lasts])  # of each move the first row and the last
    ranked = level.ranks([every[i] for i in ends.tolist()], scores[ends, -1:])
    raw_ranks, ranks = ranked[: len(rows)], ranked[len(rows) :]
    listed = ids.tolist()
    found: list[list[Choice]] = []
    number, at = 0, 0
    for entry in entries:
        choices = []
        for _ in entry.moves:
            first, *later = rows[number]
            after = at + len(later)  # of the last stage
            choices.append(
                Choice(
                    raw_logprob=chosen[at],
                    logprob=chosen[after],
                    given_logprobs=chosen[at:after],
                    raw_rank=raw_ranks[number],
                    rank=ranks[number],
                    raw_entropy=max(0.0, level.entropy[first]),
                    stages=[level.summary(row) for row in later],
                    candidates=_candidates(
                        detokenizer,
                        listed[number],
                        most,
                        entry.top_n,
                        probabilities[at : after + 1],
                    ),
                )
            )
            number, at = number + 1, after + 1
        found.append(choices)
    return found


def survivors(summaries: Sequence[StageSummary]) -> int:
    """How few tokens a stage left to any row."""
    return min(summary.survivors for summary in summaries)


class _Level:
    """Every row of scores that a move was chosen from, and what is known of each.

    Rows have numbers: those whose highest are wanted, which are the model's own and the last
    stages', come before those between.
    """

    def __init__(self, entries: Sequence[Entry], count: int) -> None:
        """``count`` highest are found."""
        self._numbers: dict[tuple[int, int], int] = {}  # by the tensor's identity and its row
        self.entropy: list[float] = []  # nats
        self._survivors: list[int] = []
        self._rows: list[tuple[Tensor, int]] = []
        best, spread, values, indices = [], [], [], []
        like = entries[0].model.scores
        # Fresh memory costs more than what is computed in it: all chunks use the same.
        *space, room = like.new_empty(3, _CHUNK, like.shape[-1])
        for rows, ends, staged in self._chunks(entries, room):
            n = len(rows)
            rows = in_pairs(rows)
            if ends:
                found, tokens = topk(rows, count)
                values.append(found[:n])
                indices.append(tokens[:n])
                top = found[:, :1]
            else:
                top = rows.amax(-1, keepdim=True)
            spare, weights = (half[: len(rows)] for half in space)
            if staged:
                # A comparison written as floats is several times faster than one as booleans.
                left = torch.gt(rows, -torch.inf, out=spare).sum(-1)
                self._survivors += map(int, left.tolist()[:n])
            else:
                self._survivors += [0] * n
            below = torch.sub(rows, top, out=spare).clamp_min_(_DEEP)
            torch.exp(below, out=weights)
            total = weights.sum(-1)
            logs = total.log()
            self.entropy += (logs - weights.mul_(below).sum(-1) / total).tolist()[:n]
            best.append(top[:n])
            spread.append(logs[:n, None])
        self._best, self._spread = torch.cat(best), torch.cat(spread)  # [rows, 1]
        self.values, self.indices = torch.cat(values), torch.cat(indices)  # falling

    def _chunks(
        self, entries: Sequence[Entry], room: Tensor
    ) -> Iterator[tuple[Tensor, bool, bool]]:
        """All rows once, with whether their highest and whether their survivors are wanted.

        Those that lie apart are put together in ``room``, which holds one chunk.
        """
        ends: set[int] = set()
        staged: set[int] = set()
        wanted: dict[int, tuple[Tensor, set[int]]] = {}
        for entry in entries:
            for stage in (entry.model, *entry.stages) if entry.moves else ():
                _, places = wanted.setdefault(id(stage.scores), (stage.scores, set()))
                places.update(stage.places[move.parent] for move in entry.moves)
            ends |= {id(entry.model.scores)} | {id(stage.scores) for stage in entry.stages[-1:]}
            staged |= {id(stage.scores) for stage in entry.stages}
        kinds: dict[tuple[bool, bool], list[tuple[Tensor, list[int]]]] = {}
        for key, (scores, places) in wanted.items():
            kinds.setdefault((key in ends, key in staged), []).append((scores, sorted(places)))
        for kind in sorted(kinds, reverse=True):
            for parts in _filled(kinds[kind]):
                rows: list[Tensor] = []
                before = len(self._rows)
                for scores, own in parts:
                    for place in own:
                        self._numbers[id(scores), place] = len(self._rows)
                        self._rows.append((scores, place))
                    view = _view(scores, own)
                    rows += [scores[p : p + 1] for p in own] if view is None else [view]
                count = len(self._rows) - before
                yield (rows[0] if len(rows) == 1 else torch.cat(rows, out=room[:count])), *kind

    def row(self, stage: Stage, parent: int) -> int:
        """The number of a lane's row ``parent`` at ``stage``."""
        return self._numbers[id(stage.scores), stage.places[parent]]

    def summary(self, row: int) -> StageSummary:
        return StageSummary.model_construct(
            survivors=self._survivors[row], entropy=max(0.0, self.entropy[row])
        )

    def scores(self, rows: Sequence[int], ids: Tensor) -> Tensor:
        """In each of ``rows`` the scores of its ``ids`` ``[len(rows), any]``."""
        parts: dict[int, tuple[Tensor, list[int], list[int]]] = {}
        for number, row in enumerate(rows):
            scores, place = self._rows[row]
            _, numbers, places = parts.setdefault(id(scores), (scores, [], []))
            numbers.append(number)
            places.append(place)
        found = torch.empty(ids.shape, device=ids.device)
        for scores, numbers, places in parts.values():
            which, at = torch.tensor([numbers, places], device=ids.device)
            found[which] = scores[at[:, None], ids[which]]
        return found

    def logprobs(self, rows: Sequence[int], scores: Tensor) -> Tensor:
        """Log-probabilities in nats of what ``scores`` found in ``rows``."""
        at = torch.tensor(rows, device=scores.device)
        return scores - self._best[at] - self._spread[at]

    def ranks(self, rows: Sequence[int], chosen: Tensor) -> list[int]:
        """The rank in its row of what has the score ``chosen`` ``[rows, 1]``, from 1: how many
        score higher, and itself.
        """
        higher = self.values[torch.tensor(rows, device=chosen.device)] > chosen
        ranks: list[int] = higher.sum(-1).add_(1).tolist()
        for i, rank in enumerate(ranks):
            if rank > self.values.shape[-1]:  # not among the highest: only now are all counted
                scores, place = self._rows[rows[i]]
                ranks[i] = int((scores[place] > chosen[i]).sum()) + 1
        return ranks


def _filled(parts: Sequence[tuple[Tensor, list[int]]]) -> Iterator[list[tuple[Tensor, list[int]]]]:
    """Rows of tensors in groups of ``_CHUNK`` at most; what is left of several is put together."""
    held: list[tuple[Tensor, list[int]]] = []
    count = 0
    for scores, places in parts:
        for start in range(0, len(places), _CHUNK):
            own = places[start : start + _CHUNK]
            if count + len(own) > _CHUNK:
                yield held
                held, count = [], 0
            held.append((scores, own))
            count += len(own)
    if held:
        yield held


def _listed(level: _Level, rows: Sequence[Sequence[int]], tokens: Sequence[int]) -> Tensor:
    """Each move's candidates: the model's likeliest, those after the last stage, the chosen token.

    A repeated id stands more than once.
    """
    device = level.indices.device
    firsts = torch.tensor([own[0] for own in rows], device=device)
    lasts = torch.tensor([own[-1] for own in rows], device=device)
    chosen = torch.tensor(tokens, device=device)[:, None]
    likely = level.indices[lasts, :_UPLIFTED]
    kept = (level.values[lasts, :_UPLIFTED] > -torch.inf) & (lasts != firsts)[:, None]
    return torch.cat([level.indices[firsts], torch.where(kept, likely, chosen), chosen], dim=-1)


def _candidates(
    detokenizer: Detokenizer, ids: list[int], most: int, top_n: int, levels: list[list[float]]
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
        texts=[detokenizer.piece(ids[p]) for p in places],
        raw=[raw[p] for p in places],
        stages=[[level[p] for p in places] for level in levels[1:]],
    )
