"""The arithmetic of attention, and how rows are batched in it without changing a row's bits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from playground.engine.attention.placement import BLOCK, DecodePlacement, Grouping


@dataclass(frozen=True)
class AttentionUse:
    """How one layer uses attention: its key-value heads, the query heads of each, and their sizes.

    ``softcap`` and ``sinks`` are whether it has them.
    """

    groups: int
    share: int
    key_size: int
    value_size: int
    softcap: bool = False
    sinks: bool = False

    @classmethod
    def of(
        cls, query: Tensor, key: Tensor, value: Tensor, softcap: float | None, sinks: Tensor | None
    ) -> AttentionUse:
        groups, share = key.shape[1], query.shape[1] // key.shape[1]
        sizes = key.shape[3], value.shape[3]
        return cls(groups, share, *sizes, softcap is not None, sinks is not None)


# The model's modules are between a forward and its attention, as for a placement.
_uses: ContextVar[set[AttentionUse] | None] = ContextVar("uses", default=None)


@contextmanager
def noted_uses() -> Iterator[set[AttentionUse]]:
    """How the layers of the forwards inside use attention."""
    uses: set[AttentionUse] = set()
    token = _uses.set(uses)
    try:
        yield uses
    finally:
        _uses.reset(token)


def note_use(
    query: Tensor, key: Tensor, value: Tensor, softcap: float | None, sinks: Tensor | None
) -> None:
    uses = _uses.get()
    if uses is not None:
        uses.add(AttentionUse.of(query, key, value, softcap, sinks))


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    scale: float | None,
    queries: int,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """Attention of ``[rows, groups, share, size]`` queries, padded to a multiple of ``queries``."""
    share = query.shape[2]
    padding = (queries - share % queries) % queries
    if padding > 0:
        query = F.pad(query, [0, 0, 0, padding])
    if softcap is None and sinks is None:
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
        return out[:, :, :share]
    if sinks is not None:
        sinks = F.pad(sinks.reshape(1, query.shape[1], share, 1), [0, 0, 0, padding])
    return weigh(query, key, value, mask, scale, softcap, sinks)[:, :, :share]


def weigh(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    scale: float | None,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """Attention ``[..., queries, size]`` whose scores are capped, or share the weights with sinks.

    All sums are in float32, so that bits which depend on the batch show when a grouping is chosen:
    rounded to 16 bits they would differ rarely. ``mask`` is added; ``sinks`` are ``[..., 1]``.
    """
    scaled = query.shape[-1] ** -0.5 if scale is None else scale
    scores = torch.matmul(query.float(), key.float().transpose(-1, -2)) * scaled
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    scores = scores + mask
    if sinks is not None:
        sink = sinks.to(scores.dtype).expand(list(scores.shape[:-1]) + [1])  # noqa: RUF005
        scores = torch.cat([scores, sink], -1)
    weights = torch.softmax(scores, -1)
    if sinks is not None:
        weights = weights[..., :-1]
    return torch.matmul(weights, value.float()).to(value.dtype)


def find_grouping(
    uses: Iterable[AttentionUse], dtype: torch.dtype, device: torch.device
) -> Grouping:
    """The cheapest grouping under which this machine's attention keeps every row's bits."""
    found = [_grouping(use, dtype, device) for use in uses]
    if not all(grouping.together for grouping in found):
        return Grouping(1, together=False)
    return Grouping(max(grouping.queries for grouping in found))


def _grouping(use: AttentionUse, dtype: torch.dtype, device: torch.device) -> Grouping:
    generator = torch.Generator().manual_seed(0)
    if use.softcap or use.sinks:
        dtype = torch.float32  # as ``weigh`` sums

    def draw(*size: int) -> Tensor:
        return torch.randn(size, generator=generator).to(dtype=dtype, device=device)

    rows, lengths = 12, [BLOCK * blocks for blocks in (1, 2, 3, 5, 10, 18)]
    query = draw(rows, use.groups, use.share, use.key_size)
    longest = lengths[-1]
    key = draw(rows, use.groups, longest, use.key_size)
    value = draw(rows, use.groups, longest, use.value_size)
    ends = [13 * row % BLOCK for row in range(rows)]  # a row's position in its last block
    cap = 30.0 if use.softcap else None
    sinks = draw(use.groups * use.share) if use.sinks else None

    def keeps_bits(queries: int) -> bool:
        for length in lengths:
            positions = [length - BLOCK + end for end in ends]
            seen = DecodePlacement.of(range(rows), positions, Grouping(), key[:, :, :length]).mask

            def attended(n: int, *, length: int = length, mask: Tensor = seen) -> Tensor:
                k, v = key[:n, :, :length], value[:n, :, :length]
                return attend(query[:n], k, v, mask[:n], None, queries, cap, sinks)

            full = attended(rows)
            if any(not torch.equal(attended(n), full[:n]) for n in (1, 2, 3, 5, 8)):
                return False
        return True

    return next((Grouping(q) for q in (4, 16) if keeps_bits(q)), Grouping(1, together=False))
