"""Which of the model's logits are kept of a step, so that other settings can be tried on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from playground.trace.logits import FINE, PARTS, STARTS, Logits, pack, placed
from strategies.ops.noise import Noise, keys_of, noise_bits, noisiest

FEWEST = 8  # candidates, below which so many others could be drawn that none are kept
_MIDDLES = (np.arange(STARTS[-1] * PARTS) + 0.5) / PARTS
_SCALE = FINE * PARTS  # parts of a nat
_DEEPEST = float(STARTS[-2] * PARTS)  # the part that holds all that lies deeper
_CHUNK = (1 << 15) // len(_MIDDLES)  # rows that are counted at once: their parts fit in 16 bits


@dataclass(frozen=True)
class ChosenFrom:
    """A row of logits, float32 ``[vocab]``, that a search chose from by the next token alone.

    ``candidates`` are recorded of it in falling order, the ``top_n`` likeliest first. Its noise is
    what ``noise`` has for ``sample``. ``ends`` are the tokens that end a text: settings raise them
    from wherever they are.
    """

    logits: Tensor
    candidates: Sequence[int]
    top_n: int
    noise: Noise
    sample: int
    ends: frozenset[int] = frozenset()

    @property
    def likeliest(self) -> Sequence[int]:
        """The candidates below which no logit of another token lies."""
        return self.candidates[: self.top_n]


def known_logits(rows: Sequence[ChosenFrom]) -> list[str]:
    """What is kept of each row, packed; nothing where some of its logits are NaN."""
    if not rows:
        return []
    found = [""] * len(rows)
    noisy = _NoisyTokens(rows)
    counter = _Counter(min(len(rows), _CHUNK), len(rows[0].logits))
    for first in range(0, len(rows), _CHUNK):
        numbers = range(first, min(first + _CHUNK, len(rows)))
        logits = counter.gathered([rows[number].logits for number in numbers])
        best = logits.numpy()[range(len(numbers)), [rows[n].candidates[0] for n in numbers]]
        able = np.isfinite(best)
        if not able.all():
            numbers, best = np.array(numbers)[able].tolist(), best[able]
            logits = logits[torch.from_numpy(able)]
        packed = _packed(rows, numbers, noisy, logits, best, counter)
        for number, text in zip(numbers, packed, strict=True):
            found[number] = text
    return found


class _NoisyTokens:
    """The noisiest tokens of each row, and the most noise that one of its likeliest has."""

    def __init__(self, rows: Sequence[ChosenFrom]) -> None:
        noises, samples = [row.noise for row in rows], [row.sample for row in rows]
        most = max(len(row.likeliest) for row in rows)
        likeliest = [
            [*row.likeliest, *[row.candidates[0]] * (most - len(row.likeliest))] for row in rows
        ]
        self.keys = keys_of(noises, samples)
        self.tokens, self.bits = noisiest(noises, samples)  # [rows, any], falling
        self.bars = noise_bits(self.keys[:, None], np.array(likeliest)).max(-1)  # [rows]

    def frontiers(self, numbers: Sequence[int], logits: NDArray[np.float32]) -> list[list[int]]:
        """Of each of these rows the tokens with more noise than all the likeliest have, such that
        no other has both a higher logit and more noise: about ln(vocab) of them.
        """
        at = [*numbers]
        tokens, bars = self.tokens[at], self.bars[at]
        values = np.take_along_axis(logits, tokens, -1)
        highest = np.maximum.accumulate(values, -1)
        found: list[list[int]] = [[] for _ in at]
        outer = (values >= highest) & (self.bits[at] > bars[:, None])
        for row, token in zip(outer.nonzero()[0].tolist(), tokens[outer].tolist(), strict=True):
            found[row].append(token)
        # Any other has less noise than these, and is on it only with a higher logit.
        heights = highest[:, -1]
        which, above = np.divmod(np.flatnonzero(logits >= heights[:, None]), logits.shape[-1])
        bits = noise_bits(self.keys[at][which], above)
        able = (bits > bars[which]).nonzero()[0]
        falling = able[bits[able].argsort()[::-1]]
        which, above = which[falling], above[falling]
        reached = heights.tolist()
        each = which.tolist(), above.tolist(), logits[which, above].tolist()
        for row, token, value in zip(*each, strict=True):
            if value >= reached[row]:
                reached[row] = value
                found[row].append(token)
        return found


def _packed(
    rows: Sequence[ChosenFrom],
    numbers: Sequence[int],
    noisy: _NoisyTokens,
    logits: Tensor,
    best: NDArray[np.float32],
    counter: _Counter,
) -> Iterator[str]:
    """What is kept of the rows of these ``numbers``, at most ``_CHUNK``, with ``best`` the highest
    of their ``logits``.
    """
    if not numbers:
        return
    own_rows = [rows[number] for number in numbers]
    known = []
    for row, frontier in zip(own_rows, noisy.frontiers(numbers, logits.numpy()), strict=True):
        others = row.ends.union(frontier).difference(row.candidates)
        known.append([*row.candidates, *sorted(others)])
    ends = np.cumsum([0, *map(len, known)])
    which, ids = np.repeat(np.arange(len(known)), np.diff(ends)), np.concatenate(known)
    counts, means = counter.bins(logits, best, which, ids)
    places, values = placed(means), logits.numpy()[which, ids]
    for number, (row, deepest) in enumerate(zip(own_rows, logits.amin(-1).tolist(), strict=True)):
        own = slice(*ends[number : number + 2])
        filled = counts[number], places[number]
        kept = Logits(ids[own], values[own], len(row.likeliest), *filled, deepest)
        yield pack(kept, len(row.candidates))


class _Counter:
    """How many tokens of each row besides those known lie in each bin.

    They are counted in ``PARTS`` of each fine bin, and taken to lie in the middle of theirs: a
    second pass for their sum would cost as much as the first.
    """

    def __init__(self, rows: int, vocab: int) -> None:
        """For at most so many rows at once. Its memory is used again for others: fresh memory costs
        more than the work in it.
        """
        self._logits = torch.empty(rows, vocab)
        self._depths = torch.empty(rows, vocab)
        self._parts = torch.empty(rows, vocab, dtype=torch.int16)  # counted faster than wider ones
        self._firsts = torch.arange(rows, dtype=torch.int16)[:, None] * len(_MIDDLES)

    def gathered(self, rows: Sequence[Tensor]) -> Tensor:
        """The rows as one tensor, float32 and on the CPU, until this is called again."""
        if rows[0].device.type == "cpu" and rows[0].dtype == torch.float32:
            return torch.stack([*rows], out=self._logits[: len(rows)])
        return self._logits[: len(rows)].copy_(torch.stack([*rows]))

    def bins(
        self,
        logits: Tensor,
        best: NDArray[np.float32],
        which: NDArray[np.int64],
        known: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The numbers in the bins, and their mean depth in fine bins; both ``[rows, bins]``.

        ``best`` are the rows' highest logits, and ``known`` their known tokens, each of its row of
        ``which``.
        """
        rows = len(logits)
        depths, parts = self._depths[:rows], self._parts[:rows]
        top = torch.from_numpy(best * np.float32(_SCALE))[:, None]
        torch.sub(top, logits, alpha=_SCALE, out=depths).clamp_(max=_DEEPEST)
        parts.copy_(depths).add_(self._firsts[:rows])
        times = torch.bincount(parts.flatten(), minlength=rows * len(_MIDDLES)).numpy()
        np.subtract.at(times, parts.numpy()[which, known], 1)
        times = times.reshape(rows, -1)
        counts = np.add.reduceat(times, STARTS[:-1] * PARTS, axis=1)
        sums = np.add.reduceat(times * _MIDDLES, STARTS[:-1] * PARTS, axis=1)
        return counts, sums / np.maximum(counts, 1)
