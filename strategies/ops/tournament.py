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
