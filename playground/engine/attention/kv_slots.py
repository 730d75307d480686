"""Keys and values of many rows in preallocated slots.

Storage is ``[layers, slots, key-value heads, length, head size]``. A row owns one slot and writes
at its own position.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from playground.engine.attention.sdpa import Gathered, Part, active
from playground.engine.scripted import scripted


class _Layer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """One layer's view of the slots, in the form transformers' models write to."""

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
        placement = active()
        assert placement is not None and self.keys is not None and self.values is not None
        if isinstance(placement, Gathered):
            return (
                _gathered(self.keys, key_states, placement),
                _gathered(self.values, value_states, placement),
            )
        stores = self.keys, self.values
        if placement.stores is not None:
            stores = placement.stores[0][self.index], placement.stores[1][self.index]
        for store, states in zip(stores, (key_states, value_states), strict=True):
            if isinstance(placement, Part):
                _write(store, states, placement.where)
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


def _gathered(store: Tensor, states: Tensor, placement: Gathered) -> Tensor:
    """What the rows read of ``store``, once their tokens' states are written to it."""
    places, size = store.view(-1, store.shape[-1]), store.shape[-1]
    places.index_copy_(0, placement.write.flatten(), states.to(store.dtype).reshape(-1, size))
    return places.index_select(0, placement.read.flatten()).view(*placement.read.shape, size)


@scripted
def _write(store: Tensor, states: Tensor, where: Tensor) -> Tensor:
    """``store`` with one row's states ``[1, heads, tokens, size]`` in its slot, from there on."""
    slot, start = int(where[0]), int(where[1])
    store[slot, :, start : start + states.shape[2]] = states[0]
    return store


class Slots:
    """The storage, and which of its slots are taken."""

    def __init__(
        self,
        shapes: Sequence[tuple[int, int, int]],
        count: int,
        length: int,
        dtype: torch.dtype,
        device: torch.device,
        spare: int = 0,
    ) -> None:
        """``shapes`` holds (key-value heads, key size, value size) of each layer, all equal.

        ``spare`` slots after those that can be taken are for rows that stand for nobody.
        """
        if len(set(shapes)) != 1:
            raise ValueError("its layers keep keys and values of different shapes")
        heads, key_size, value_size = shapes[0]
        self.count, self.length = count, length
        grid = (len(shapes), count + spare, heads, length)
        self.keys = _zeros((*grid, key_size), dtype, device)
        self.values = _zeros((*grid, value_size), dtype, device)
        self.cache = Cache(
            layers=[
                _Layer(index, k, v)
                for index, (k, v) in enumerate(zip(self.keys, self.values, strict=True))
            ]
        )
        self._taken = [False] * count

    @property
    def free(self) -> int:
        return self._taken.count(False)

    @property
    def bytes_per_token(self) -> int:
        """Bytes of keys and values that one token of one row holds, over all layers."""
        per = self.keys[:, 0, :, 0].numel() + self.values[:, 0, :, 0].numel()
        return per * self.keys.element_size()

    def take(self, width: int) -> list[int] | None:
        """The first ``width`` neighbouring free slots, or None where there is no such place."""
        run = 0
        for slot, taken in enumerate(self._taken):
            run = 0 if taken else run + 1
            if run == width:
                slots = list(range(slot - width + 1, slot + 1))
                for s in slots:
                    self._taken[s] = True
                return slots
        return None

    def give(self, slots: Sequence[int], *, wipe: int = 0) -> None:
        """Free them. What may be no number in their first ``wipe`` positions is zeroed, in place:
        a later row reads on past its own, and what is masked must weigh nothing.
        """
        for slot in slots:
            if not self._taken[slot]:
                raise ValueError(f"slot {slot} was already free")
            self._taken[slot] = False
            if wipe:
                self.keys[:, slot, :, :wipe] = 0
                self.values[:, slot, :, :wipe] = 0

    def spread(self, source: int, targets: Sequence[int], length: int) -> None:
        """The first ``length`` positions of ``source`` into neighbouring ``targets``."""
        first, last = targets[0], targets[-1] + 1
        for store in (self.keys, self.values):
            kept = store[:, source : source + 1, :, :length].clone()
            store[:, first:last, :, :length] = kept

    def copy(self, sources: Sequence[int], targets: Sequence[int], first: int, last: int) -> None:
        """Positions ``first`` to ``last`` of each source into its target, which is no source."""
        if not targets or first >= last:
            return
        for store in (self.keys, self.values):
            for source, target in zip(sources, targets, strict=True):
                store[:, target, :, first:last] = store[:, source, :, first:last]

    def read(self, slot: int, length: int) -> tuple[Tensor, Tensor]:
        """Copies of a slot's first keys and values, ``[layers, heads, length, size]``."""
        return self.keys[:, slot, :, :length].clone(), self.values[:, slot, :, :length].clone()

    def write(self, slot: int, keys: Tensor, values: Tensor) -> None:
        """What ``read`` gave, into the first positions of a slot."""
        self.keys[:, slot, :, : keys.shape[2]] = keys
        self.values[:, slot, :, : values.shape[2]] = values


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros; on the CPU pages that no row ever wrote are never made resident."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    size = math.prod(shape) * dtype.itemsize
    private = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)
    how = {"flags": private} if private else {}
    # Torch would write its zeros, and numpy asks for huge pages, each of which is whole at once.
    block = mmap.mmap(-1, size, **how)
    return torch.frombuffer(block, dtype=torch.uint8).view(dtype).view(shape)


def fitting(
    shapes: Sequence[tuple[int, int, int]],
    dtype: torch.dtype,
    count: int,
    length: int,
    budget: int | None,
    spare: int = 0,
) -> tuple[int, int]:
    """As many slots, then as long ones, as ``budget`` bytes hold; never fewer than 16 slots.

    ``shapes`` and ``spare`` are those of ``Slots``.
    """
    if budget is None:
        return count, length
    per_token = sum(heads * (k + v) for heads, k, v in shapes) * dtype.itemsize
    count = max(min(count, 16), min(count, budget // (per_token * length) - spare))
    return count, min(length, max(64, budget // (per_token * (count + spare))))
