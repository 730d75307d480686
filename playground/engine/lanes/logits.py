"""Which of the model's logits are kept of a step, so that other settings can be tried on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from playground.trace.logits import FINE, PARTS, STARTS, Logits, pack, placed
from strategies.ops.noise import Noise

FEWEST = 8  # candidates, below which so many others could be drawn that none are kept
_MIDDLES = (np.arange(STARTS[-1] * PARTS) + 0.5) / PARTS
_SCALE = FINE * PARTS  # parts of a nat
_CHUNK = 32704  # logits at once: from 32,768 on torch uses several threads and waits for them
_DEEPEST = float(STARTS[-2] * PARTS)  # the part that holds all that lies deeper


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
    """What is kept of each row, packed; nothing where some of its logits are NaN.

    All of one row is looked at before the next, so that it is read from memory once.
    """
    found = [""] * len(rows)
    counter: _Counter | None = None
    able, logits, known, deepest = [], [], [], []
    for number, row in enumerate(rows):
        own = row.logits.float().cpu()
        best = own[row.candidates[0]]
        if not best.isfinite():
            continue
        counter = counter or _Counter(own)
        others = (_frontier(row, own.numpy()) | row.ends).difference(row.candidates)
        ids = np.array([*row.candidates, *sorted(others)])
        counter.count(own, best, ids)
        deepest.append(float(own.numpy().min()))
        able.append(number)
        logits.append(own.numpy()[ids])
        known.append(ids)
    if counter is None:
        return found
    counts, means = counter.bins()
    each = zip(able, known, logits, counts, placed(means), deepest, strict=True)
    for number, ids, values, filled, places, lowest in each:
        kept = Logits(ids, values, len(rows[number].likeliest), filled, places, lowest)
        found[number] = pack(kept, len(rows[number].candidates))
    return found


def _frontier(row: ChosenFrom, logits: NDArray[np.float32]) -> set[int]:
    """The tokens with more noise than all the likeliest have, such that no other has both a higher
    logit and more noise: about ln(vocab) of them.
    """
    noise, sample, likeliest = row.noise, row.sample, len(row.likeliest)
    noisiest = noise.noisiest(sample)
    # Only the noisiest can have a lower logit than the best of them.
    least = logits[noisiest].max(initial=-np.inf)
    above = np.flatnonzero(logits >= least)
    ids = np.concatenate([row.likeliest, above, noisiest])  # some of them twice
    bits = noise.bits(sample, ids)
    able = bits > bits[:likeliest].max()
    tokens = ids[able][bits[able].argsort()[::-1]]
    values = logits[tokens]
    return set(tokens[values >= np.maximum.accumulate(values)].tolist())


class _Counter:
    """How many tokens of each row besides those known lie in each bin.

    They are counted in ``PARTS`` of each fine bin, and taken to lie in the middle of theirs: a
    second pass for their sum would cost as much as the first.
    """

    def __init__(self, like: Tensor) -> None:
        """``like`` is a row of the same size. The buffers are allocated once, since allocating them
        takes longer than the work in them; 16-bit numbers are counted faster.
        """
        self._depth = torch.empty_like(like[:_CHUNK])
        self._part = torch.empty_like(like, dtype=torch.int16)
        self._times: list[NDArray[np.int64]] = []

    def count(self, row: Tensor, best: Tensor, known: NDArray[np.int64]) -> None:
        times = np.zeros(len(_MIDDLES), np.int64)
        for first in range(0, len(row), _CHUNK):
            values, part = row[first : first + _CHUNK], self._part[first : first + _CHUNK]
            depth = self._depth[: len(values)]
            torch.sub(best * _SCALE, values, alpha=_SCALE, out=depth).clamp_(max=_DEEPEST)
            part.copy_(depth)
            times += torch.bincount(part, minlength=len(_MIDDLES)).numpy()
        np.subtract.at(times, self._part.numpy()[known], 1)
        self._times.append(times)

    def bins(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The numbers in the bins, and their mean depth in fine bins; both ``[rows, bins]``."""
        times = np.stack(self._times)
        counts = np.add.reduceat(times, STARTS[:-1] * PARTS, axis=1)
        sums = np.add.reduceat(times * _MIDDLES, STARTS[:-1] * PARTS, axis=1)
        return counts, sums / np.maximum(counts, 1)
