"""Entropy, survivors and ranks of every row of scores that a token was chosen from, for all lanes.

They come from a few sums over many rows at once, and the highest scores of some of them; nothing is
sorted. A row's figures do not depend on the rows beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from playground.engine.lanes.stages import ScoreBatch, Stage, rows_view
from playground.trace import StageSummary
from strategies import Distribution
from strategies.ops.reduce import row_sums
from strategies.ops.topk import topk

_DEEP = -80.0  # scores this far below the best weigh nothing in float32, and −inf is slow to exp
_BIT = math.log(2)  # nats
_VECTOR = 64  # elements that a CPU computes at once at most, for whatever instructions
_GRAIN = 32768  # elements from which torch shares work between threads
_CHUNK = 16  # rows summed at once, so that what is computed of them stays in the cache


@dataclass(frozen=True)
class Wanted:
    """Rows of one batch, and which of their figures are computed beside the entropy."""

    batch: ScoreBatch
    rows: Sequence[int]  # rising
    highest: bool
    survivors: bool


class RowFigures:
    """Rows of scores by number, and the figures of each.

    Rows whose highest scores are wanted have the first numbers.
    """

    def __init__(self, wanted: Sequence[Wanted], count: int) -> None:
        """``count`` highest scores of a row are found, where they are wanted."""
        self.entropy: list[float] = []  # nats
        self._likeliest: list[float] = []  # log-probability of each row's best, nats
        self._survivors: list[int] = []
        self._numbers: dict[tuple[ScoreBatch, int], int] = {}
        self._rows: list[tuple[ScoreBatch, int]] = []
        best, spread, values, indices = [], [], [], []
        like = wanted[0].batch.scores
        # Fresh memory costs more than what is computed in it: all chunks use the same.
        *space, room = like.new_empty(3, _CHUNK, like.shape[-1])
        for rows, kind in self._chunks(wanted, room):
            if kind.highest:
                found, tokens = topk(rows, count)
                values.append(found)
                indices.append(tokens)
                top = found[:, :1]
            else:
                top = rows.amax(-1, keepdim=True)
            spare, weights = (half[: len(rows)] for half in space)
            if kind.survivors:
                # A comparison written as floats is several times faster than one as booleans.
                left = row_sums(torch.gt(rows, -torch.inf, out=spare))
                self._survivors += map(int, left.tolist())
            else:
                self._survivors += [0] * len(rows)
            bits = torch.sub(rows, top, out=spare).clamp_min_(_DEEP).mul_(1 / _BIT)
            _powers(bits, weights)
            total = row_sums(weights)
            logs = total.log()
            self.entropy += (logs - row_sums(weights.mul_(bits)) * _BIT / total).tolist()
            self._likeliest += (-logs).tolist()
            best.append(top)
            spread.append(logs[:, None])
        self._best, self._spread = torch.cat(best), torch.cat(spread)  # [rows, 1]
        self.values, self.indices = torch.cat(values), torch.cat(indices)  # falling

    def _chunks(self, wanted: Sequence[Wanted], room: Tensor) -> Iterator[tuple[Tensor, Wanted]]:
        """All rows in chunks, numbered in order, each chunk with a ``Wanted`` that holds for it.

        Rows of several batches are concatenated in ``room``, which holds one chunk.
        """
        kinds: dict[tuple[bool, bool], list[Wanted]] = {}
        for one in wanted:
            kinds.setdefault((one.highest, one.survivors), []).append(one)
        for kind in sorted(kinds, reverse=True):
            for parts in _filled(kinds[kind]):
                rows: list[Tensor] = []
                before = len(self._rows)
                for part in parts:
                    scores = part.batch.scores
                    for row in part.rows:
                        self._numbers[part.batch, row] = len(self._rows)
                        self._rows.append((part.batch, row))
                    view = rows_view(scores, part.rows)
                    rows += [scores[r : r + 1] for r in part.rows] if view is None else [view]
                count = len(self._rows) - before
                chunk = rows[0] if len(rows) == 1 else torch.cat(rows, out=room[:count])
                yield chunk, parts[0]

    def row(self, stage: Stage, parent: int) -> int:
        """The number of a lane's row ``parent`` at ``stage``."""
        return self._numbers[stage.batch, stage.rows[parent]]

    def summary(self, row: int, threshold: float | None) -> StageSummary:
        """How many tokens a stage left in a row, the entropy of those, and its threshold."""
        return StageSummary.of(
            survivors=self._survivors[row],
            entropy=max(0.0, self.entropy[row]),
            threshold=threshold,
        )

    def distribution(self, row: int) -> Distribution:
        """A row as the next processor was given it."""
        batch, at = self._rows[row]
        return Distribution(
            batch.scores[at],
            self._likeliest[row],
            max(0.0, self.entropy[row]),
            self._survivors[row] or batch.scores.shape[-1],
        )

    def scores(self, rows: Sequence[int], ids: Tensor) -> Tensor:
        """In each of ``rows`` the scores of its ``ids`` ``[len(rows), any]``."""
        parts: dict[ScoreBatch, tuple[list[int], list[int]]] = {}
        for number, row in enumerate(rows):
            batch, at = self._rows[row]
            numbers, positions = parts.setdefault(batch, ([], []))
            numbers.append(number)
            positions.append(at)
        found = torch.empty(ids.shape, device=ids.device)
        for batch, lists in parts.items():
            which, positions_in = torch.tensor(lists, device=ids.device)
            found[which] = batch.scores[positions_in[:, None], ids[which]]
        return found

    def logprobs(self, rows: Sequence[int], scores: Tensor) -> Tensor:
        """Log-probabilities in nats of what ``scores`` found in ``rows``."""
        at = torch.tensor(rows, device=scores.device)
        return scores - self._best[at] - self._spread[at]

    def ranks(self, rows: Sequence[int], chosen: Tensor) -> list[int]:
        """The rank, from 1, of the score ``chosen`` ``[rows, 1]`` in each row: one more than the
        number of higher scores.
        """
        higher = self.values[torch.tensor(rows, device=chosen.device)] > chosen
        ranks: list[int] = higher.sum(-1).add_(1).tolist()
        for i, rank in enumerate(ranks):
            if rank > self.values.shape[-1]:  # not among the highest: only now are all counted
                batch, row = self._rows[rows[i]]
                ranks[i] = int((batch.scores[row] > chosen[i]).sum()) + 1
        return ranks


def _powers(bits: Tensor, out: Tensor) -> None:
    """Two to the power of ``bits`` ``[n, vocab]``, which takes a quarter of the time of exp.

    On a CPU torch computes what is left over at the end of a thread's share by another function
    than the rest, in other last bits, so that a row would depend on how many there are. Where a
    share may have something left over, exp is taken, which has no such ends.
    """
    if bits.device.type != "cpu" or _shares_are_whole(bits.shape[-1], torch.get_num_threads()):
        torch.exp2(bits, out=out)
    else:
        torch.mul(bits, _BIT, out=out).exp_()


@cache
def _shares_are_whole(vocab: int, threads: int) -> bool:
    """Whether threads share any number of rows of a chunk in multiples of ``_VECTOR`` elements."""
    for rows in range(1, _CHUNK + 1):
        count = rows * vocab
        share = -(-count // min(threads, -(-count // _GRAIN)))
        if count % _VECTOR or share % _VECTOR:
            return False
    return True


def _filled(wanted: Sequence[Wanted]) -> Iterator[list[Wanted]]:
    """Rows in groups of ``_CHUNK`` at most; what is left of several batches is put together."""
    held: list[Wanted] = []
    count = 0
    for one in wanted:
        for start in range(0, len(one.rows), _CHUNK):
            part = replace(one, rows=one.rows[start : start + _CHUNK])
            if count + len(part.rows) > _CHUNK:
                yield held
                held, count = [], 0
            held.append(part)
            count += len(part.rows)
    if held:
        yield held
