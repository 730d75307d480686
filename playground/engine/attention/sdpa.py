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

from playground.engine.scripted import scripted

ATTENTION = "decoding_slots"
BLOCK = 64  # keys are laid out to a multiple of it


@dataclass(frozen=True)
class Part:
    """A prompt, or a later piece of one: tokens of one row from a position on.

    ``where`` is the row's slot and that position, on the processor. ``mask``, bool ``[tokens,
    tokens read before and now]``, is of a later piece of several tokens, and empty elsewhere.
    ``stores`` are as of ``Placement``.
    """

    where: Tensor
    mask: Tensor
    stores: tuple[Tensor, Tensor] | None = None

    @classmethod
    def of(cls, slot: int, start: int, tokens: int, device: torch.device) -> Part:
        mask = torch.empty(0, dtype=torch.bool, device=device)
        if start and tokens > 1:
            mask = torch.ones(tokens, start + tokens, dtype=torch.bool, device=device).tril(start)
        return cls(torch.tensor([slot, start]), mask)


@dataclass(frozen=True)
class Placement:
    """Where rows of one token each are written and read.

    ``slots`` and ``positions``, ``[rows]``, are where each token stands. Each of ``segments``,
    ``[segments, 4]`` on the processor, is of neighbouring rows: the first, the one after the last,
    the first one's slot, and the length to which they are seen. ``mask``, ``[rows, 1, 1,
    longest]``, is -inf where a row has no token and 0 elsewhere. ``idle`` rows come after those of
    the slots: they write nothing and attend to nothing. ``stores`` are keys and values of all
    layers, ``[layers, slots, key-value heads, length, size]``, if not those of the model's cache.
    """

    slots: Tensor
    positions: Tensor
    segments: Tensor
    mask: Tensor
    queries: int = 1
    idle: int = 0
    stores: tuple[Tensor, Tensor] | None = None


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
    slots: Sequence[int],
    positions: Sequence[int],
    grouping: Grouping,
    store: Tensor,
    idle: int = 0,
) -> Placement:
    """Rows in rising slot order over a ``store`` ``[slots, heads, length, size]`` of a layer."""
    most, device = store.shape[2], store.device
    lengths = [min(most, -(-(position + 1) // BLOCK) * BLOCK) for position in positions]
    segments: list[list[int]] = []
    for row, (slot, length) in enumerate(zip(slots, lengths, strict=True)):
        last = segments[-1] if segments and grouping.together else None
        if last and last[3] == length and slot == last[2] + row - last[0]:
            last[1] = row + 1
        else:
            segments.append([row, row + 1, slot, length])
    at = torch.tensor(list(positions), device=device)
    absent = torch.arange(max(lengths), device=device) > at[:, None]
    mask = torch.zeros(absent.shape, dtype=store.dtype, device=device)
    mask = mask.masked_fill_(absent, -torch.inf)[:, None, None]
    where = torch.tensor(list(slots), device=device)
    return Placement(where, at, torch.tensor(segments), mask, grouping.queries, idle)


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
    if isinstance(placement, Gathered):
        (rows, heads, _, size), groups = query.shape, key.shape[1]
        query = query.reshape(rows, groups, heads // groups, size)
        out = _attend(query, key, value, placement.mask, scaling, placement.queries)
        return out.reshape(rows, 1, heads, value.shape[-1]), None
    if isinstance(placement, Part):
        return _attend_to_one(query, key, value, placement.where, placement.mask, scaling), None
    p = placement
    return _attend_in_place(query, key, value, p.segments, p.mask, scaling, p.queries), None


@scripted
def _attend_to_one(
    query: Tensor, key: Tensor, value: Tensor, where: Tensor, mask: Tensor, scale: float | None
) -> Tensor:
    """What tokens of one row see in a layer's storage, ``[1, tokens, heads, size]``."""
    slot, start = int(where[0]), int(where[1])
    end = start + query.shape[2]
    seen: Tensor | None = None
    if mask.numel() > 0:
        seen = mask
    out = F.scaled_dot_product_attention(
        query,
        key[slot : slot + 1, :, :end],
        value[slot : slot + 1, :, :end],
        attn_mask=seen,
        scale=scale,
        is_causal=start == 0,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return out.transpose(1, 2).contiguous()


@scripted
def _attend_in_place(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Tensor,
    mask: Tensor,
    scale: float | None,
    queries: int,
) -> Tensor:
    """What rows of one token see in a layer's storage, ``[rows, 1, heads, size]``."""
    # Query heads that share a key-value head are queries of one attention: nothing is repeated.
    rows, heads, groups = query.shape[0], query.shape[1], key.shape[1]
    query = query.reshape(rows, groups, heads // groups, query.shape[3])
    each: list[list[int]] = segments.tolist()
    parts: list[Tensor] = []
    end = 0
    for first, last, slot, length in each:
        k = key[slot : slot + last - first, :, :length]
        v = value[slot : slot + last - first, :, :length]
        parts.append(
            _attend(query[first:last], k, v, mask[first:last, :, :, :length], scale, queries)
        )
        end = last
    if end < rows:
        parts.append(query.new_zeros([rows - end, groups, heads // groups, value.shape[3]]))
    out = parts[0] if len(parts) == 1 else torch.cat(parts)
    return out.reshape(rows, 1, heads, value.shape[3])


def _attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float | None, queries: int
) -> Tensor:
    """Attention of ``[rows, groups, share, size]`` queries, padded to a multiple of ``queries``."""
    share = query.shape[2]
    padding = (queries - share % queries) % queries
    if padding > 0:
        query = F.pad(query, [0, 0, 0, padding])
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
            seen = place(range(rows), positions, Grouping(), key[:, :, :length]).mask

            def attended(n: int, *, length: int = length, mask: Tensor = seen) -> Tensor:
                k, v = key[:n, :, :length], value[:n, :, :length]
                return _attend(query[:n], k, v, mask[:n], None, queries)

            full = attended(rows)
            if any(not torch.equal(attended(n), full[:n]) for n in (1, 2, 3, 5, 8)):
                return False
        return True

    return next((Grouping(q) for q in (4, 16) if keeps_bits(q)), Grouping(1, together=False))


def _mask(*args: Any, **kwargs: Any) -> Tensor | None:
    return None if _active.get() is not None else sdpa_mask(*args, **kwargs)


AttentionInterface.register(ATTENTION, _attention)
AttentionMaskInterface.register(ATTENTION, _mask)
