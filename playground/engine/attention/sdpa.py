"""Attention that reads rows in their slots, and keeps a row's bits independent of the others.

A decode step copies no keys, and attends to rows of many lengths in a few calls of torch's
scaled dot-product attention. Outside a placement the model behaves exactly as with its own.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from playground.engine.attention.placement import (
    DecodePlacement,
    GatheredPlacement,
    PrefillPlacement,
    current_placement,
)
from playground.engine.attention.weigh import attend, note_use, weigh
from playground.engine.scripted import scripted
from playground.transformers_compat import (
    causal_mask_function,
    own_attention,
    register_attention,
    sdpa_mask,
)

ATTENTION = "decoding_slots"  # the name transformers knows it by


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention over the slots inside a placement, transformers' own outside.

    Inside, ``query`` is ``[rows, heads, tokens, size]``, and ``key`` and ``value`` are one layer's
    whole storage ``[slots, key-value heads, length, size]``, or what was gathered from it. Scores
    are bounded by ``softcap`` times their tanh, and ``s_aux`` are logits, one of each head, that
    take a share of the weights and stand for no token (sinks). Raises ``ValueError`` where the
    layer needs more than that, a mask and a scale.
    """
    placement = current_placement()
    if placement is None:
        return own_attention(
            module, query, key, value, attention_mask, scaling, softcap, s_aux, **kwargs
        )
    if kwargs.get("position_bias") is not None:
        raise ValueError("its attention adds a bias of each pair of positions")
    note_use(query, key, value, softcap, s_aux)
    mask = placement.mask if attention_mask is None else attention_mask
    match placement:
        case GatheredPlacement(queries=queries):
            out = _attend_gathered(query, key, value, mask, scaling, queries, softcap, s_aux)
        case PrefillPlacement(origin=origin):
            read = placement.positions
            out = _attend_prefill(query, key, value, origin, read, mask, scaling, softcap, s_aux)
        case DecodePlacement(segments=segments, queries=queries):
            out = _attend_decode(
                query, key, value, segments, mask, scaling, queries, softcap, s_aux
            )
    return out, None


@scripted
def _attend_prefill(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    origin: Tensor,
    read: Tensor,
    mask: Tensor,
    scale: float | None,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """Attention of one row's tokens over a layer's storage, ``[1, tokens, heads, size]``.

    ``read`` are the positions that are read. Some layers compute only the last of them.
    """
    slot, start = int(origin[0]), int(origin[1])
    tokens = query.shape[2]
    end = start + read.shape[0]
    k, v = key[slot : slot + 1, :, :end], value[slot : slot + 1, :, :end]
    last = tokens < read.shape[0]
    if last and mask.numel() > 0:
        mask = mask.narrow(-2, mask.shape[-2] - tokens, tokens)
    if mask.numel() == 0 and (last or softcap is not None or sinks is not None):
        mask = torch.ones([tokens, end], dtype=torch.bool, device=query.device).tril(end - tokens)
    if softcap is not None or sinks is not None:
        share = query.shape[1] // k.shape[1]
        out = weigh(
            query.reshape(1, k.shape[1], share, tokens, query.shape[3]),
            k[:, :, None],
            v[:, :, None],
            torch.zeros(mask.shape, device=query.device).masked_fill(~mask, -torch.inf),
            scale,
            softcap,
            None if sinks is None else sinks.reshape(1, k.shape[1], share, 1, 1),
        ).reshape(1, query.shape[1], tokens, v.shape[3])
    else:
        seen: Tensor | None = None
        if mask.numel() > 0:
            seen = mask
        out = F.scaled_dot_product_attention(
            query,
            k,
            v,
            attn_mask=seen,
            scale=scale,
            is_causal=start == 0 and seen is None,
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
    softcap: float | None,
    sinks: Tensor | None,
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
        seen = mask[first:last, :, :, :length]
        parts.append(attend(query[first:last], k, v, seen, scale, queries, softcap, sinks))
        end = last
    if end < rows:
        parts.append(query.new_zeros([rows - end, groups, heads // groups, value.shape[3]]))
    out = parts[0] if len(parts) == 1 else torch.cat(parts)
    return out.reshape(rows, 1, heads, value.shape[3])


def _attend_gathered(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    scale: float | None,
    queries: int,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """The same over keys and values gathered for each row, ``[rows, key-value heads, length,
    size]``.
    """
    (rows, heads, _, size), groups = query.shape, key.shape[1]
    query = query.reshape(rows, groups, heads // groups, size)
    out = attend(query, key, value, mask, scale, queries, softcap, sinks)
    return out.reshape(rows, 1, heads, value.shape[-1])


def _mask(
    *args: Any, mask_function: Any, local_size: int | None = None, **kwargs: Any
) -> Tensor | None:
    """Transformers' own mask outside a placement; inside, that of a layer with a narrower one.

    None stands for the causal mask, which the placement has. ``local_size`` is the size of a
    layer's window, if ``mask_function`` has one: it hides nothing in slots that are no longer.
    """
    placement = current_placement()
    if placement is None:
        given: dict[str, Any] = {**kwargs, "mask_function": mask_function, "local_size": local_size}
        return sdpa_mask(*args, **given)
    if mask_function is causal_mask_function:
        return None
    if local_size is not None and local_size >= placement.capacity:
        return None
    return placement.bounded(mask_function)


register_attention(ATTENTION, _attention, _mask)
