"""Attention that reads rows in their slots, and keeps a row's bits independent of the others.

A decode step copies no keys, and attends to rows of many lengths in a few calls of torch's
scaled dot-product attention. Outside a placement the model behaves exactly as with its own.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from playground.engine.attention.kv_slots import KVShape
from playground.engine.attention.placement import (
    BLOCK,
    DecodePlacement,
    GatheredPlacement,
    Grouping,
    PrefillPlacement,
    current_placement,
)
from playground.engine.scripted import scripted
from playground.transformers_compat import (
    register_attention,
    sdpa_attention_forward,
    sdpa_mask,
)

ATTENTION = "decoding_slots"  # the name transformers knows it by

_UNSUPPORTED = ("softcap", "position_bias", "sliding_window", "s_aux")


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention over the slots inside a placement, transformers' own outside.

    Inside, ``query`` is ``[rows, heads, tokens, size]``, and ``key`` and ``value`` are one layer's
    whole storage ``[slots, key-value heads, length, size]``, or what was gathered from it. Raises
    ``ValueError`` where the layer needs more than a mask and a scale.
    """
    placement = current_placement()
    if placement is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
    for name in _UNSUPPORTED:
        if kwargs.get(name) is not None:
            raise ValueError(f"its attention uses {name}")
    match placement:
        case GatheredPlacement(mask=mask, queries=queries):
            out = _attend_gathered(query, key, value, mask, scaling, queries)
        case PrefillPlacement(origin=origin, mask=mask):
            out = _attend_prefill(query, key, value, origin, mask, scaling)
        case DecodePlacement(segments=segments, mask=mask, queries=queries):
            out = _attend_decode(query, key, value, segments, mask, scaling, queries)
    return out, None


@scripted
def _attend_prefill(
    query: Tensor, key: Tensor, value: Tensor, origin: Tensor, mask: Tensor, scale: float | None
) -> Tensor:
    """Attention of one row's tokens over a layer's storage, ``[1, tokens, heads, size]``."""
    slot, start = int(origin[0]), int(origin[1])
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
def _attend_decode(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Tensor,
    mask: Tensor,
    scale: float | None,
    queries: int,
) -> Tensor:
    """Attention of rows of one token over a layer's storage, ``[rows, 1, heads, size]``."""
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


def _attend_gathered(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float | None, queries: int
) -> Tensor:
    """The same over keys and values gathered for each row, ``[rows, key-value heads, length,
    size]``.
    """
    (rows, heads, _, size), groups = query.shape, key.shape[1]
    query = query.reshape(rows, groups, heads // groups, size)
    out = _attend(query, key, value, mask, scale, queries)
    return out.reshape(rows, 1, heads, value.shape[-1])


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


def find_grouping(heads: int, shape: KVShape, dtype: torch.dtype, device: torch.device) -> Grouping:
    """The cheapest grouping under which this machine's attention keeps every row's bits.

    ``heads`` are the query heads of a layer of this ``shape``.
    """
    generator = torch.Generator().manual_seed(0)

    def draw(*size: int) -> Tensor:
        return torch.randn(size, generator=generator).to(dtype=dtype, device=device)

    rows, lengths = 12, [BLOCK * blocks for blocks in (1, 2, 3, 5, 10, 18)]
    query = draw(rows, shape.heads, heads // shape.heads, shape.key_size)
    longest = lengths[-1]
    key = draw(rows, shape.heads, longest, shape.key_size)
    value = draw(rows, shape.heads, longest, shape.value_size)
    ends = [13 * row % BLOCK for row in range(rows)]  # a row's position in its last block

    def keeps_bits(queries: int) -> bool:
        for length in lengths:
            positions = [length - BLOCK + end for end in ends]
            seen = DecodePlacement.of(range(rows), positions, Grouping(), key[:, :, :length]).mask

            def attended(n: int, *, length: int = length, mask: Tensor = seen) -> Tensor:
                k, v = key[:n, :, :length], value[:n, :, :length]
                return _attend(query[:n], k, v, mask[:n], None, queries)

            full = attended(rows)
            if any(not torch.equal(attended(n), full[:n]) for n in (1, 2, 3, 5, 8)):
                return False
        return True

    return next((Grouping(q) for q in (4, 16) if keeps_bits(q)), Grouping(1, together=False))


def _mask(*args: Any, **kwargs: Any) -> Tensor | None:
    """Transformers' own outside a placement; inside, the placement has the mask."""
    return None if current_placement() is not None else sdpa_mask(*args, **kwargs)


register_attention(ATTENTION, _attention, _mask)
