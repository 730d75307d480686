"""Probabilities of a step's candidates as text, in 5 bytes each instead of 10.

A search over several rows records every row that it takes, and most of them are in no text.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_SAME = 0xFFFF  # in place of its length: a level that is equal to the one before it
_DIGITS = 7  # of a probability in JSON
_EXACT = 22  # powers of ten up to this one are exact in a float64
_TENS = 10.0 ** np.arange(_EXACT + 1)


def pack(levels: Sequence[Sequence[float]]) -> str | None:
    """The levels ``[levels, candidates]`` as text; None where it would not give the same back.

    They are non-negative, with ``_DIGITS`` digits. Zeros at the end of a level are left out.
    """
    lengths: list[int] = []
    kept: list[float] = []
    before: Sequence[float] | None = None
    for level in levels:
        length = len(level)
        while length and level[length - 1] == 0.0:
            length -= 1
        lengths.append(_SAME if level == before else length)
        kept += [] if level == before else level[:length]
        before = level
    values = np.array(kept, np.float64)
    if (
        not ((values >= 0) & (values < 10)).all()
        or len(levels) > 255
        or max(map(len, levels), default=_SAME) >= _SAME
    ):
        return None
    places = _DIGITS - 1 - np.floor(np.log10(values, where=values > 0, out=np.zeros_like(values)))
    numbers = np.rint(values * 10.0**places)
    if (places > 255).any() or (numbers >= 1 << 24).any():
        return None
    numbers, places = numbers.astype(np.uint32), places.astype(np.uint32)
    if not np.array_equal(_divided(numbers, places), values):
        return None
    parts = (
        np.array([len(levels)], np.uint8),
        np.array(lengths, "<u2"),
        (numbers | places << 24).astype("<u4"),
    )
    return b64encode(b"".join(part.tobytes() for part in parts)).decode()


def unpack(packed: str, candidates: int) -> list[list[float]]:
    """The reverse of ``pack``. Raises ``ValueError`` for any other text."""
    data = b64decode(packed, validate=True)
    lengths = np.frombuffer(data, "<u2", data[0], 1).tolist() if data else []
    words = np.frombuffer(data[1 + 2 * len(lengths) :], "<u4").astype(np.uint32)
    values = _divided(words & np.uint32(0xFFFFFF), words >> np.uint32(24)).tolist()
    levels: list[list[float]] = []
    at = 0
    for length in lengths:
        if length == _SAME and levels:
            levels.append(list(levels[-1]))
        elif length <= candidates:
            levels.append(values[at : at + length] + [0.0] * (candidates - length))
            at += length
        else:
            raise ValueError("these are no packed probabilities")
    if at != len(values) or not levels or any(len(level) != candidates for level in levels):
        raise ValueError("these are no packed probabilities")
    return levels


def _divided(numbers: NDArray[np.uint32], places: NDArray[np.uint32]) -> NDArray[np.float64]:
    """``numbers`` with so many decimal places, each as Python reads it when written in decimals."""
    found: NDArray[np.float64] = numbers / _TENS[np.minimum(places, _EXACT)]
    for at in np.flatnonzero(places > _EXACT).tolist():
        found[at] = float(f"{numbers[at]}e-{places[at]}")
    return found
