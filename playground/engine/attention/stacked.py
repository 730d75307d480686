"""Caches of several rows as one, for a forward of all of them, and apart again."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from playground.transformers_compat import (
    Cache,
    CacheLayerMixin,
    LinearAttentionCacheLayerMixin,
)


class Unlike(ValueError):
    """These caches cannot be read together."""


def stack(caches: Sequence[Any]) -> Any:
    """One cache of as many rows, of caches of one row each that have read equally many tokens.

    It shares no memory with them. Raises ``Unlike`` where they hold something else than a row's
    tensors in layers that transformers has.
    """
    if not all(isinstance(cache, Cache) for cache in caches):
        raise Unlike(f"a {type(caches[0]).__name__} is no cache of layers")
    made = copy.copy(caches[0])
    made.layers = [_stacked(layers) for layers in zip(*(c.layers for c in caches), strict=True)]
    return made


def apart(cache: Any, count: int, computed: int) -> list[Any]:
    """The caches of the first ``count`` of ``computed`` rows, which share no memory."""
    rows = []
    for row in range(count):
        made = copy.copy(cache)
        made.layers = [_row_of(layer, row, computed) for layer in cache.layers]
        rows.append(made)
    return rows


def _stacked(parts: Sequence[Any]) -> Any:
    first = parts[0]
    if any(type(part) is not type(first) for part in parts):
        raise Unlike("layers differ in what they keep")
    if isinstance(first, Tensor):
        if first.ndim and len(first) == 1 and all(part.shape == first.shape for part in parts):
            return torch.cat(list(parts))
        if all(torch.equal(part, first) for part in parts):
            return first.clone()
        raise Unlike("a tensor is no row's alone")
    if isinstance(first, dict):
        return {key: _stacked([part[key] for part in parts]) for key in first}
    if isinstance(first, CacheLayerMixin | LinearAttentionCacheLayerMixin):
        made = copy.copy(first)
        for name in vars(first):
            setattr(made, name, _stacked([getattr(part, name) for part in parts]))
        return made
    if all(part == first for part in parts):
        return first
    raise Unlike(f"rows differ in {str(first)[:40]}")


def _row_of(part: Any, row: int, computed: int) -> Any:
    if isinstance(part, Tensor):
        return (part[row : row + 1] if part.ndim and len(part) == computed else part).clone()
    if isinstance(part, dict):
        return {key: _row_of(value, row, computed) for key, value in part.items()}
    if isinstance(part, CacheLayerMixin | LinearAttentionCacheLayerMixin):
        made = copy.copy(part)
        for name, value in vars(part).items():
            setattr(made, name, _row_of(value, row, computed))
        return made
    return part
