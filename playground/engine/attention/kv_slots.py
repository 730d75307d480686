"""Keys and values of many rows in preallocated slots.

Storage is ``[layers, slots, key-value heads, length, head size]``. A row owns one slot and writes
at its own position.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from playground.engine.attention.placement import (
    GatheredPlacement,
    PrefillPlacement,
    current_placement,
)
from playground.engine.scripted import scripted
from playground.transformers_compat import Cache, CacheLayerMixin

FEWEST = 16  # slots, however small the budget
_SHORTEST = 64  # tokens of a slot, likewise


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


class KVSlots:
    """The storage, and which of its slots are allocated. Not thread-safe: the loop alone calls it.

    ``cache`` is the same storage as transformers' models write to it, inside a placement.
    """

    def __init__(
        self,
        shapes: Sequence[KVShape],
        count: int,
        length: int,
        dtype: torch.dtype,
        device: torch.device,
        spare: int = 0,
    ) -> None:
        """``count`` slots of ``length`` tokens. ``shapes`` are the layers', which must be equal.

        ``spare`` slots after those that can be allocated are for idle rows to write to.
        """
        if len(set(shapes)) != 1:
            raise ValueError("its layers keep keys and values of different shapes")
        shape = shapes[0]
        self.count, self.length = count, length
        grid = (len(shapes), count + spare, shape.heads, length)
        self.keys = _zeros((*grid, shape.key_size), dtype, device)
        self.values = _zeros((*grid, shape.value_size), dtype, device)
        self.cache = Cache(
            layers=[
                _CacheLayer(index, k, v)
                for index, (k, v) in enumerate(zip(self.keys, self.values, strict=True))
            ]
        )
        self._allocated = [False] * count

    @property
    def free_count(self) -> int:
        return self._allocated.count(False)

    @property
    def bytes_per_token(self) -> int:
        """Bytes of keys and values that one token of one row holds, over all layers."""
        per = self.keys[:, 0, :, 0].numel() + self.values[:, 0, :, 0].numel()
        return per * self.keys.element_size()

    def allocate(self, width: int) -> list[int] | None:
        """The first ``width`` neighbouring free slots, or None where there are not so many."""
        free = 0
        for slot, allocated in enumerate(self._allocated):
            free = 0 if allocated else free + 1
            if free == width:
                slots = list(range(slot - width + 1, slot + 1))
                for s in slots:
                    self._allocated[s] = True
                return slots
        return None

    def free(self, slots: Sequence[int], *, wipe: int = 0) -> None:
        """Let others have these slots. Raises ``ValueError`` where one is free already.

        Their first ``wipe`` positions are set to zero, where what they hold may not be finite: a
        later row reads past its own tokens, and a masked NaN would still reach its sums.
        """
        for slot in slots:
            if not self._allocated[slot]:
                raise ValueError(f"slot {slot} was already free")
            self._allocated[slot] = False
            if wipe:
                self.keys[:, slot, :, :wipe] = 0
                self.values[:, slot, :, :wipe] = 0

    def replicate(self, source: int, targets: Sequence[int], length: int) -> None:
        """Copy the first ``length`` positions of ``source`` to neighbouring ``targets``."""
        first, last = targets[0], targets[-1] + 1
        for store in (self.keys, self.values):
            copied = store[:, source : source + 1, :, :length].clone()
            store[:, first:last, :, :length] = copied

    def copy(self, sources: Sequence[int], targets: Sequence[int], first: int, last: int) -> None:
        """Copy positions ``first`` to ``last`` of each source to its target, which is no source."""
        if not targets or first >= last:
            return
        for store in (self.keys, self.values):
            for source, target in zip(sources, targets, strict=True):
                store[:, target, :, first:last] = store[:, source, :, first:last]

    def read(self, slot: int, length: int, start: int = 0) -> tuple[Tensor, Tensor]:
        """Copies of ``length`` keys and values of a slot, ``[layers, heads, length, size]``."""
        at = slice(start, start + length)
        return self.keys[:, slot, :, at].clone(), self.values[:, slot, :, at].clone()

    def write(self, slot: int, keys: Tensor, values: Tensor, start: int = 0) -> None:
        """Write what ``read`` returned to a slot, from position ``start`` on."""
        at = slice(start, start + keys.shape[2])
        self.keys[:, slot, :, at] = keys
        self.values[:, slot, :, at] = values


def fit_to_budget(
    shapes: Sequence[KVShape],
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
    per_token = sum(shape.numbers for shape in shapes) * dtype.itemsize
    count = max(min(count, FEWEST), min(count, budget // (per_token * length) - spare))
    return count, min(length, max(_SHORTEST, budget // (per_token * (count + spare))))


class _CacheLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """One layer's view of the slots, in the form that transformers' models write to."""

    is_compileable = False

    def __init__(self, index: int, keys: Tensor, values: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.index, self.keys, self.values = index, keys, values
        self.dtype, self.device = keys.dtype, keys.device
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
                _gathered(self.keys, key_states, placement),
                _gathered(self.values, value_states, placement),
            )
        stores = self.keys, self.values
        if placement.stores is not None:
            stores = placement.stores[0][self.index], placement.stores[1][self.index]
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


def _gathered(store: Tensor, states: Tensor, placement: GatheredPlacement) -> Tensor:
    """What the rows read of ``store``, once their tokens' states are written to it."""
    flat, size = store.view(-1, store.shape[-1]), store.shape[-1]
    flat.index_copy_(0, placement.write.flatten(), states.to(store.dtype).reshape(-1, size))
    return flat.index_select(0, placement.read.flatten()).view(*placement.read.shape, size)


@scripted
def _write(store: Tensor, states: Tensor, origin: Tensor) -> Tensor:
    """``store`` with one row's states ``[1, heads, tokens, size]`` in its slot, from there on."""
    slot, start = int(origin[0]), int(origin[1])
    store[slot, :, start : start + states.shape[2]] = states[0]
    return store


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros; on the CPU, pages that no row ever wrote are never made resident."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    size = math.prod(shape) * dtype.itemsize
    private = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)
    flags = {"flags": private} if private else {}
    # torch would write its zeros, and numpy asks for huge pages, each of which is whole at once.
    block = mmap.mmap(-1, size, **flags)
    return torch.frombuffer(block, dtype=torch.uint8).view(dtype).view(shape)
