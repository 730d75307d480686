"""The recorded logits of one step: some exactly, the others in bins.

Exact are those of the likeliest tokens and of every other token that could be drawn at some
temperature after some truncation: no token has both a higher logit and more noise than one of
these. Of all others there are the counts in some ranges of logits, and their means.
"""

from __future__ import annotations

import math
import struct
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FINE = 8  # bins of a nat
# So many fine bins make one. Down to 6 nats below the highest logit a bin is an eighth of a nat, to
# 12 a quarter, to 20 a half, to 32 a whole one; all that lies deeper is in the last.
_WIDTHS = [1] * (6 * FINE) + [2] * (3 * FINE) + [4] * (2 * FINE) + [8] * 12 + [1]
STARTS = np.concatenate([[0], np.cumsum(_WIDTHS)])  # of the bins, among the fine ones; and the last
PARTS = 16  # of a fine bin, within which a token is taken to lie in the middle
WIDTHS = np.diff(STARTS)  # in fine bins
_SCALE = 255  # steps to which a bin's mean is rounded
_ENDED = 2  # the flag of a text that ends with the lowest logit


@dataclass(frozen=True)
class Logits:
    """``ids`` are the known tokens, float32 ``values`` their logits; ``likeliest`` come first.

    The other tokens are in bins: ``counts`` of each, and in ``places`` how far down the bin their
    mean is, where uint8 255 is its end. ``deepest`` is the lowest logit, −inf where it is not kept.
    """

    ids: NDArray[np.int64]
    values: NDArray[np.float32]
    likeliest: int
    counts: NDArray[np.int64]
    places: NDArray[np.uint8]
    deepest: float = -math.inf

    @property
    def means(self) -> NDArray[np.float64]:
        """The mean depth in each bin below the highest logit, in fine bins, within ``slack``."""
        means: NDArray[np.float64] = STARTS[:-1] + self.places / _SCALE * WIDTHS
        return means

    @property
    def slack(self) -> float:
        """How far a mean may be from the one kept, in widths of its bin."""
        return 0.5 / _SCALE + 0.5 / PARTS + 1e-6


def placed(means: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The ``places`` of mean depths ``[any, bins]``, which are in fine bins."""
    within = (means - STARTS[:-1]) * (_SCALE / WIDTHS)
    steps: NDArray[np.uint8] = np.rint(np.clip(within, 0, _SCALE)).astype(np.uint8)
    return steps


def pack(logits: Logits, candidates: int) -> str:
    """The logits as text, without the ids of the step's first ``candidates`` known tokens."""
    bits = logits.values.view(np.uint32)
    halves = not bool((bits & 0xFFFF).any())  # as a model in bfloat16 gives them
    held = np.flatnonzero(logits.counts)
    first, last = (int(held[0]), int(held[-1]) + 1) if len(held) else (0, 0)
    counts = logits.counts[first:last]
    widest = int(counts.max(initial=0))
    size = 1 if widest < 1 << 8 else 2 if widest < 1 << 16 else 4
    others = logits.ids[candidates:]
    ended = math.isfinite(logits.deepest)
    kind = halves + (_ENDED if ended else 0)
    head = struct.pack("<BBHHBB", kind, size, logits.likeliest, len(others), first, last)
    values = (bits >> 16).astype("<u2") if halves else logits.values.astype("<f4")
    parts = (values, others.astype("<u4"), counts.astype(f"<u{size}"), logits.places[first:last])
    end = struct.pack("<f", logits.deepest) if ended else b""
    return b64encode(head + b"".join(part.tobytes() for part in parts) + end).decode()


def unpack(packed: str, candidates: Sequence[int]) -> Logits:
    """The reverse of ``pack``. Raises ``ValueError`` for any other text."""
    data = b64decode(packed, validate=True)
    try:
        kind, size, likeliest, more, first, last = struct.unpack_from("<BBHHBB", data)
        halves, ended = kind & 1, kind & _ENDED
        values, at = _read(data, "<u2" if halves else "<f4", len(candidates) + more, 8)
        others, at = _read(data, "<u4", more, at)
        filled, at = _read(data, f"<u{size}", last - first, at)
        held, at = _read(data, "<u1", last - first, at)
        end, at = _read(data, "<f4", 1, at) if ended else ([-math.inf], at)
    except (struct.error, TypeError) as error:
        raise ValueError("these are no packed logits") from error
    if at != len(data) or last >= len(STARTS) or not 1 <= likeliest <= len(candidates):
        raise ValueError("these are no packed logits")
    if halves:
        values = (values.astype(np.uint32) << 16).view(np.float32)
    counts, places = np.zeros(len(WIDTHS), np.int64), np.zeros(len(WIDTHS), np.uint8)
    counts[first:last], places[first:last] = filled, held
    ids = np.concatenate([np.array(candidates, np.int64), others.astype(np.int64)])
    return Logits(ids, values.astype(np.float32), likeliest, counts, places, float(end[0]))


def _read(data: bytes, kind: str, count: int, at: int) -> tuple[NDArray[Any], int]:
    found = np.frombuffer(data, kind, count, at)
    return found, at + found.nbytes
