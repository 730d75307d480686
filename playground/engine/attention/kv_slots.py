"""Keys and values of many rows in preallocated slots.

Storage is ``[layers, slots, key-value heads, length, head size]``. A row owns one slot and writes
at its own position.
"""

from __future__ import annotations

import math
import mmap
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count as count_from
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from playground.engine.attention.placement import (
    GatheredPlacement,
    PrefillPlacement,
    current_placement,
)
from playground.engine.attention.slots import FEWEST, Kept, Slots
from playground.engine.scripted import scripted
from playground.transformers_compat import Cache, CacheLayerMixin, DummyLayer

_SHORTEST = 64  # tokens of a slot, however small the budget


@dataclass(frozen=True)
class KVShape:
    """What one layer keeps of a token: ``heads`` key-value heads, and the sizes of each."""

    heads: int
    key_size: int
    value_size: int

    @property
    def numbers(self) -> int:
        """Elements of the keys and values of one token."""
        return self.heads * (self.key_size + self.value_size)


@dataclass(frozen=True)
class KeptTokens:
    """Keys and values of some tokens, ``[layers, heads, tokens, size]``."""

    keys: Tensor
    values: Tensor

    @property
    def nbytes(self) -> int:
        return self.keys.nbytes + self.values.nbytes


class KVSlots(Slots):
    """The storage, and which of its slots are allocated.

    ``cache`` is the same storage as transformers' models write to it, inside a placement.
    """

    def __init__(
        self,
        shapes: Sequence[KVShape | None],
        count: int,
        length: int,
        dtype: torch.dtype,
        device: torch.device,
        spare: int = 0,
    ) -> None:
        """``count`` slots of ``length`` tokens. ``shapes`` are the layers'; a layer that reads what
        another keeps has none.

        ``spare`` slots after those that can be allocated are for idle rows to write to.
        """
        kept = [shape for shape in shapes if shape is not None]
        largest = largest_shape(kept)
        super().__init__(count, length, device)
        grid = (len(kept), count + spare, largest.heads, length)
        self.keys, self._pages_of_keys = _zeros((*grid, largest.key_size), dtype, device)
        self.values, self._pages_of_values = _zeros((*grid, largest.value_size), dtype, device)
        index = count_from(0)
        self.cache = Cache(
            layers=[
                _no_layer() if shape is None else _CacheLayer(next(index), shape, self)
                for shape in shapes
            ]
        )

    @property
    def bytes_per_token(self) -> int:
        per = self.keys[:, 0, :, 0].numel() + self.values[:, 0, :, 0].numel()
        return per * self.keys.element_size()

    def replicate(self, source: int, targets: Sequence[int], length: int) -> None:
        first, last = targets[0], targets[-1] + 1
        for store in (self.keys, self.values):
            copied = store[:, source : source + 1, :, :length].clone()
            store[:, first:last, :, :length] = copied

    def copy(self, sources: Sequence[int], targets: Sequence[int], first: int, last: int) -> None:
        if not targets or first >= last:
            return
        for store in (self.keys, self.values):
            for source, target in zip(sources, targets, strict=True):
                store[:, target, :, first:last] = store[:, source, :, first:last]

    def read(self, slot: int, length: int, start: int = 0) -> KeptTokens:
        at = slice(start, start + length)
        keys, values = self.keys[:, slot, :, at], self.values[:, slot, :, at]
        return KeptTokens(keys.clone(), values.clone())

    def write(self, slot: int, kept: Kept, start: int = 0) -> None:
        assert isinstance(kept, KeptTokens)
        at = slice(start, start + kept.keys.shape[2])
        self.keys[:, slot, :, at] = kept.keys
        self.values[:, slot, :, at] = kept.values

    def forget(self) -> None:
        """Give back the memory of what was written so far, on a CPU under Linux; it becomes zeros.

        No slot may be allocated.
        """
        for pages in (self._pages_of_keys, self._pages_of_values):
            if pages is not None and sys.platform == "linux":  # elsewhere it is no more than advice
                pages.madvise(mmap.MADV_DONTNEED)

    def _clear(self, slot: int, wipe: int) -> None:
        # A later row reads past its own tokens, and a masked NaN would still reach its sums.
        if wipe:
            self.keys[:, slot, :, :wipe] = 0
            self.values[:, slot, :, :wipe] = 0


def largest_shape(shapes: Sequence[KVShape]) -> KVShape:
    """The shape in which each of ``shapes`` fits: storage has one for all layers."""
    return KVShape(
        max(shape.heads for shape in shapes),
        max(shape.key_size for shape in shapes),
        max(shape.value_size for shape in shapes),
    )


def fit_to_budget(
    shapes: Sequence[KVShape | None],
    dtype: torch.dtype,
    count: int,
    length: int,
    budget: int | None,
    spare: int = 0,
) -> tuple[int, int]:
    """How many slots, and then of how many tokens, ``budget`` bytes hold.

    At most ``count`` and ``length``, and all of those where there is no budget. At least ``FEWEST``
    slots, or ``count`` where that is less. ``shapes`` and ``spare`` are those of ``KVSlots``.
    """
    if budget is None:
        return count, length
    kept = [shape for shape in shapes if shape is not None]
    per_token = len(kept) * largest_shape(kept).numbers * dtype.itemsize
    count = max(min(count, FEWEST), min(count, budget // (per_token * length) - spare))
    return count, min(length, max(_SHORTEST, budget // (per_token * (count + spare))))


class _CacheLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """One layer's view of the slots, in the form that transformers' models write to."""

    is_compileable = False

    def __init__(self, index: int, shape: KVShape, slots: KVSlots) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.index, self._stores = index, (slots.keys[index], slots.values[index])
        self._parts = [
            None if own == store.shape[1::2] else own
            for own, store in zip(
                ((shape.heads, shape.key_size), (shape.heads, shape.value_size)),
                self._stores,
                strict=True,
            )
        ]
        self.keys, self.values = map(_own_part, self._stores, self._parts)
        self.dtype, self.device = self.keys.dtype, self.keys.device
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        return None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write the states ``[rows, heads, tokens, size]`` where the current placement has them.

        Returns what attention reads: the whole storage of the layer, or what was gathered from it.
        """
        placement = current_placement()
        assert placement is not None and self.keys is not None and self.values is not None
        if isinstance(placement, GatheredPlacement):
            return (
                _gathered(self._stores[0], self._parts[0], key_states, placement),
                _gathered(self._stores[1], self._parts[1], value_states, placement),
            )
        stores = self.keys, self.values
        if placement.stores is not None:
            keys, values = placement.stores
            stores = (
                _own_part(keys[self.index], self._parts[0]),
                _own_part(values[self.index], self._parts[1]),
            )
        for store, states in zip(stores, (key_states, value_states), strict=True):
            if isinstance(placement, PrefillPlacement):
                _write(store, states, placement.origin)
            else:
                rows = states[: placement.slots.shape[0], :, 0]  # the rest are idle
                store[placement.slots, :, placement.positions] = rows.to(store.dtype)
        return stores

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return query_length, 0

    def get_seq_length(self) -> int:
        return 0

    def get_max_length(self) -> int:
        assert self.keys is not None
        return int(self.keys.shape[2])


def _no_layer() -> Any:
    """What stands for a layer that reads what another keeps."""
    return DummyLayer()  # type: ignore[no-untyped-call]


def _own_part(store: Tensor, part: tuple[int, int] | None) -> Tensor:
    """``store`` narrowed to one layer's heads and size, where the storage has more."""
    return store if part is None else store[:, : part[0], :, : part[1]]


def _gathered(
    store: Tensor, part: tuple[int, int] | None, states: Tensor, placement: GatheredPlacement
) -> Tensor:
    """What the rows read from ``store`` after the states of their tokens were written to it."""
    flat, size = store.view(-1, store.shape[-1]), store.shape[-1]
    if part is not None:
        states = F.pad(states, [0, size - part[1], 0, 0, 0, store.shape[1] - part[0]])
    flat.index_copy_(0, placement.write.flatten(), states.to(store.dtype).reshape(-1, size))
    read = placement.read if part is None else placement.read[:, : part[0]]
    found = flat.index_select(0, read.flatten()).view(*read.shape, size)
    return found if part is None else found[..., : part[1]]


@scripted
def _write(store: Tensor, states: Tensor, origin: Tensor) -> Tensor:
    """Write one row's states ``[1, heads, tokens, size]`` to ``store``, and return it.

    ``origin`` is the row's slot and the position of the first token.
    """
    slot, start = int(origin[0]), int(origin[1])
    store[slot, :, start : start + states.shape[2]] = states[0]
    return store


def _zeros(
    shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, mmap.mmap | None]:
    """Zeros; on the CPU, with their pages, of which none is made resident before it is written."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device), None
    size = math.prod(shape) * dtype.itemsize
    private = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)
    flags = {"flags": private} if private else {}
    # torch would write its zeros, and numpy asks for huge pages, each of which is whole at once.
    pages = mmap.mmap(-1, size, **flags)
    return torch.frombuffer(pages, dtype=torch.uint8).view(dtype).view(shape), pages
