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
    """What is kept of each row, packed; nothing where some of its logits are NaN."""
    found = [""] * len(rows)
    logits = [row.logits.float().cpu() for row in rows]
    best = [own[row.candidates[0]] for row, own in zip(rows, logits, strict=True)]
    able = [number for number, highest in enumerate(best) if highest.isfinite()]
    if not able:
        return found
    rows, logits, best = [rows[n] for n in able], [logits[n] for n in able], [best[n] for n in able]
    frontiers = _frontiers(rows, logits)
    known = [
        np.array([*row.candidates, *sorted((frontier | row.ends).difference(row.candidates))])
        for row, frontier in zip(rows, frontiers, strict=True)
    ]
    counts, means = _binned(logits, best, known)
    each = zip(able, rows, logits, known, counts, placed(means), strict=True)
    for number, row, own, ids, filled, places in each:
        values, deepest = own.numpy()[ids], float(own.min())
        kept = Logits(ids, values, len(row.likeliest), filled, places, deepest)
        found[number] = pack(kept, len(row.candidates))
    return found


def _frontiers(rows: Sequence[ChosenFrom], logits: Sequence[Tensor]) -> list[set[int]]:
    """Of each row the tokens with more noise than all the likeliest have, such that no other has
    both a higher logit and more noise: about ln(vocab) of them.

    Rows with the same noise share the search for its largest values.
    """
    shared: dict[tuple[int, int, int], list[int]] = {}
    for number, row in enumerate(rows):
        noise = row.noise
        shared.setdefault((noise.seed, noise.position, row.sample), []).append(number)
    found: list[set[int]] = [set()] * len(rows)
    for numbers in shared.values():
        noise, sample = rows[numbers[0]].noise, rows[numbers[0]].sample
        noisiest = noise.noisiest(sample)
        for number in numbers:
            row, own = rows[number], logits[number].numpy()
            # Only the noisiest can have a lower logit than the best of them.
            least = own[noisiest].max(initial=-np.inf)
            ids = np.concatenate([row.likeliest, np.flatnonzero(own >= least), noisiest])
            found[number] = _frontier(own, ids, noise.bits(sample, ids), len(row.likeliest))
    return found


def _frontier(
    logits: NDArray[np.float32], ids: NDArray[np.int64], bits: NDArray[np.uint64], likeliest: int
) -> set[int]:
    """Those of the ``ids``, of which so many are the ``likeliest`` and some stand there twice."""
    able = bits > bits[:likeliest].max()
    tokens = ids[able][bits[able].argsort()[::-1]]
    values = logits[tokens]
    return set(tokens[values >= np.maximum.accumulate(values)].tolist())


def _binned(
    logits: Sequence[Tensor], best: Sequence[Tensor], known: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """How many tokens of each row besides the ``known`` lie in each bin, and their mean depth in
    fine bins; both ``[rows, bins]``.

    They are counted in ``PARTS`` of each fine bin, and taken to lie in the middle of theirs: a
    second pass for their sum would cost as much as the first.
    """
    times = np.empty((len(logits), len(_MIDDLES)), np.int64)
    # Fresh memory costs more than what is computed in it, and few bytes are counted faster.
    depth = torch.empty_like(logits[0])
    part = torch.empty_like(logits[0], dtype=torch.int16)
    for row, highest, ids, own in zip(logits, best, known, times, strict=True):
        torch.sub(highest * _SCALE, row, alpha=_SCALE, out=depth).clamp_(max=_DEEPEST)
        part.copy_(depth)
        own[:] = torch.bincount(part, minlength=len(own)).numpy()
        np.subtract.at(own, part.numpy()[ids], 1)
    counts = np.add.reduceat(times, STARTS[:-1] * PARTS, axis=1)
    sums = np.add.reduceat(times * _MIDDLES, STARTS[:-1] * PARTS, axis=1)
    return counts, sums / np.maximum(counts, 1)
