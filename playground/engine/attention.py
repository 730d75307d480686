"""Attention that reads rows where they stand in the slots, and keeps a row's bits its own.

A row's keys are laid out to a length that depends on its own position alone, and those that are not
there are masked. Neighbouring rows of one such length are one strided view of the slots: a decode
step copies no keys, and attends to rows of many lengths in a few calls. Outside a placement the
model behaves exactly as with SDPA.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

ATTENTION = "decoding_slots"
BLOCK = 64  # keys are laid out to a multiple of it


@dataclass(frozen=True)
class Part:
    """A prompt, or a later piece of one: tokens of one row from position ``start`` on.

    ``mask``, bool ``[tokens, tokens read before and now]``, is of a later piece.
    """

    slot: int
    start: int
    mask: Tensor | None = None


@dataclass(frozen=True)
class Segment:
    """Rows ``first`` to ``last`` (exclusive), in slots from ``slot`` on, seen to ``length``.

    ``mask``, ``[rows, 1, 1, length]``, is -inf where a row has no token and 0 elsewhere.
    """

    first: int
    last: int
    slot: int
    length: int
    mask: Tensor


@dataclass(frozen=True)
class Placement:
    """Where rows of one token each are written and read.

    ``slots`` and ``positions``, ``[rows]``, are where each token stands. Rows after those are
    padding: they write nothing and attend to nothing.
    """

    segments: tuple[Segment, ...]
    slots: Tensor
    positions: Tensor
    queries: int = 1


@dataclass(frozen=True)
class Gathered:
    """The same for one token of each row in shapes that do not depend on where the rows stand.

    Storage is seen as ``[slots * key-value heads * length, size]``. ``write`` is the place of each
    row's token, ``[rows, key-value heads]``; ``read`` those of the tokens laid out for it,
    ``[rows, key-value heads, length]``; ``mask``, ``[rows, 1, 1, length]``, is -inf where it has
    no such token and 0 elsewhere.
    """

    write: Tensor
    read: Tensor
    mask: Tensor
    queries: int = 1


@dataclass(frozen=True)
class Grouping:
    """How attention batches rows so that a row keeps its bits whatever stands beside it.

    Queries of one key-value head are padded to a multiple of ``queries``: torch's CPU kernel gives
    each thread a scratch buffer of that many rows, and its alignment changes the last bits.
    ``together`` False attends to each row by itself.
    """

    queries: int = 4
    together: bool = True


def place(
    slots: Sequence[int], positions: Sequence[int], grouping: Grouping, store: Tensor
) -> Placement:
    """Rows in rising slot order over a ``store`` ``[slots, heads, length, size]`` of a layer."""
    most, device = store.shape[2], store.device
    at = torch.tensor(list(positions), device=device)
    lengths = [min(most, -(-(position + 1) // BLOCK) * BLOCK) for position in positions]
    segments: list[Segment] = []
    first = 0
    for i in range(1, len(slots) + 1):
        if (
            i == len(slots)
            or not grouping.together
            or slots[i] != slots[i - 1] + 1
            or lengths[i] != lengths[i - 1]
        ):
            absent = torch.arange(lengths[first], device=device) > at[first:i, None]
            mask = torch.zeros(absent.shape, dtype=store.dtype, device=device)
            mask = mask.masked_fill_(absent, -torch.inf)[:, None, None]
            segments.append(Segment(first, i, slots[first], lengths[first], mask))
            first = i
    where = torch.tensor(list(slots), device=device)
    return Placement(tuple(segments), where, at, grouping.queries)


Where = Part | Placement | Gathered
_active: ContextVar[Where | None] = ContextVar("placement", default=None)


def active() -> Where | None:
    """The placement of the engine's forward in progress on this thread, if there is one."""
    return _active.get()


@contextmanager
def placed(placement: Where) -> Iterator[None]:
    token = _active.set(placement)
    try:
        yield
    finally:
        _active.reset(token)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """SDPA over slots where a placement is active, plain SDPA otherwise.

    With a placement, ``query`` is ``[rows, heads, tokens, size]`` and ``key``, ``value`` are one
    layer's whole storage ``[slots, key-value heads, length, size]``, or what was gathered of it.
    """
    placement = _active.get()
    if placement is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
    for name in ("softcap", "position_bias", "sliding_window", "s_aux"):
        if kwargs.get(name) is not None:
            raise ValueError(f"its attention uses {name}")
    rows, heads, tokens, size = query.shape
    groups = key.shape[1]
    if isinstance(placement, Gathered):
        query = query.reshape(rows, groups, heads // groups, size)
        out = _attend(query, key, value, scaling, placement.queries, placement.mask)
        return out.reshape(rows, 1, heads, value.shape[-1]), None
    if isinstance(placement, Part):
        end = placement.start + tokens
        out = F.scaled_dot_product_attention(
            query,
            key[placement.slot : placement.slot + 1, :, :end],
            value[placement.slot : placement.slot + 1, :, :end],
            attn_mask=placement.mask,
            scale=scaling,
            is_causal=not placement.start,
            enable_gqa=heads != groups,
        )
        return out.transpose(1, 2).contiguous(), None
    # Query heads that share a key-value head are queries of one attention: nothing is repeated.
    share = heads // groups
    query = query.reshape(rows, groups, share, size)
    parts = [
        _attend(
            query[s.first : s.last],
            key[s.slot : s.slot + s.last - s.first, :, : s.length],
            value[s.slot : s.slot + s.last - s.first, :, : s.length],
            scaling,
            placement.queries,
            s.mask,
        )
        for s in placement.segments
    ]
    idle = rows - placement.segments[-1].last
    if idle:
        parts.append(query.new_zeros(idle, groups, share, value.shape[-1]))
    out = parts[0] if len(parts) == 1 else torch.cat(parts)
    return out.reshape(rows, 1, heads, value.shape[-1]), None


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: float | None,
    queries: int,
    mask: Tensor,
) -> Tensor:
    """Attention of ``[rows, groups, share, size]`` queries, padded to a multiple of ``queries``."""
    share = query.shape[2]
    padding = -share % queries
    if padding:
        query = F.pad(query, (0, 0, 0, padding))
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
    return out[:, :, :share]


def find_grouping(
    heads: int, shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device
) -> Grouping:
    """The cheapest grouping under which this machine's attention keeps every row's bits."""
    groups, key_size, value_size = shape
    generator = torch.Generator().manual_seed(0)

    def draw(*size: int) -> Tensor:
        return torch.randn(size, generator=generator).to(dtype=dtype, device=device)

    rows, lengths = 12, [BLOCK * blocks for blocks in (1, 2, 3, 5, 10, 18)]
    query = draw(rows, groups, heads // groups, key_size)
    longest = lengths[-1]
    key, value = draw(rows, groups, longest, key_size), draw(rows, groups, longest, value_size)
    ends = [13 * row % BLOCK for row in range(rows)]  # where in its last block a row stands

    def keeps_bits(queries: int) -> bool:
        for length in lengths:
            positions = [length - BLOCK + end for end in ends]
            (whole,) = place(range(rows), positions, Grouping(), key[:, :, :length]).segments

            def attended(n: int, *, length: int = length, mask: Tensor = whole.mask) -> Tensor:
                k, v = key[:n, :, :length], value[:n, :, :length]
                return _attend(query[:n], k, v, None, queries, mask[:n])

            full = attended(rows)
            if any(not torch.equal(attended(n), full[:n]) for n in (1, 2, 3, 5, 8)):
                return False
        return True

    return next((Grouping(q) for q in (4, 16) if keeps_bits(q)), Grouping(1, together=False))


def _mask(*args: Any, **kwargs: Any) -> Tensor | None:
    return None if _active.get() is not None else sdpa_mask(*args, **kwargs)


AttentionInterface.register(ATTENTION, _attention)
AttentionMaskInterface.register(ATTENTION, _mask)
