"""The secret bits of SynthID's tournament, as transformers computes them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated

import torch
from pydantic import AfterValidator
from torch import Tensor

from ..notation import quote

_FACTOR = 6364136223846793005  # of the linear congruential generator that hashes, modulo 2^64
_MOST = 64


def _numbers(written: str) -> str:
    parts = [part.strip() for part in written.split(",")] if written.strip() else []
    if len(parts) > _MOST or any(not part.isdecimal() or len(part) > 9 for part in parts):
        raise ValueError(
            f"{quote(written)} is not up to {_MOST} numbers of nine digits with commas between."
        )
    return ", ".join(parts)


Numbers = Annotated[str, AfterValidator(_numbers)]  # a setting
EXAMPLE = (  # those of transformers' documentation
    "654, 400, 836, 123, 340, 443, 597, 160, 57, 29, 590, 639, 13, 715, 468, 990, 966, 226, 324, "
    "585, 118, 504, 421, 521, 129, 669, 732, 225, 90, 960"
)


def tournament(probs: Tensor, bits: Tensor) -> Tensor:
    """Probabilities ``[n]`` after a round for each column of ``bits`` ``[n, rounds]``.

    In a round two tokens are drawn and the one with the higher bit wins.
    """
    for own in bits.unbind(-1):
        probs = probs * (1 + own - (own * probs).sum())
    return probs


def secret_bits(
    before: Sequence[tuple[int, ...]], tokens: Tensor, keys: Tensor, table: Tensor
) -> Tensor:
    """The bits of tokens ``[n]``, one for each of ``keys``: float32 ``[n, len(keys)]``.

    ``before`` are the tokens before each of them, or before them all. A hash of these, of the token
    and of the key is looked up in the table.
    """
    hashed = torch.ones(len(before), dtype=torch.int64)
    for column in torch.tensor(before).T:
        hashed = (hashed + column) * _FACTOR + 1
    hashed = (hashed + tokens) * _FACTOR + 1
    hashed = (hashed[:, None] + keys) * _FACTOR + 1
    return table[hashed % len(table)]


@lru_cache(maxsize=4)
def table(size: int, seed: int) -> Tensor:
    """A table of so many random bits, float32."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, (size,), generator=generator).float()
