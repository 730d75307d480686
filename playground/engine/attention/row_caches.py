"""Rows that keep what transformers' own caches keep: a state, or keys of which only some are left.

Each slot holds a text and the model's cache of it. Nothing is known of what a cache holds, so a row
that forks or goes back has a cache copied, shortened, or made again from its text.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from playground.engine.attention.slots import FEWEST, Kept, Slots
from playground.transformers_compat import Cache, DynamicLayer, LinearAttentionCacheLayerMixin


@dataclass
class RowCache:
    """The tokens that were read, and the model's cache of them; None before the first."""

    ids: list[int] = field(default_factory=list)
    cache: Any = None

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in _tensors(self.cache))

    def clone(self) -> RowCache:
        """An independent copy: what is read into one does not change the other."""
        return RowCache(list(self.ids), clone_cache(self.cache))

    def cut(self, length: int) -> bool:
        """Forget all tokens after the first ``length``; False where the cache cannot."""
        if length == len(self.ids):
            return True
        layers = getattr(self.cache, "layers", None)
        if not length:
            self.cache = None
        elif self.cache is not None:
            if not layers or any(type(layer) is not DynamicLayer for layer in layers):
                return False
            for layer in layers:
                layer.keys, layer.values = layer.keys[:, :, :length], layer.values[:, :, :length]
        del self.ids[length:]
        return True


class RowCaches(Slots):
    """Slots that hold a ``RowCache`` each.

    ``constant`` are bytes that a row takes however long it is, ``per_token`` those of each token.
    """

    def __init__(
        self,
        count: int,
        length: int,
        device: torch.device,
        constant: int,
        per_token: int,
    ) -> None:
        super().__init__(count, length, device)
        self._constant, self._per_token = constant, per_token
        self._rows = [RowCache() for _ in range(count)]

    @property
    def bytes_per_token(self) -> int:
        return self._per_token + self._constant // self.length

    def at(self, slot: int, length: int, read: Callable[[RowCache, list[int]], Any]) -> RowCache:
        """What a slot holds of its first ``length`` tokens; a next token may follow them.

        Where its cache has more, and cannot be shortened, ``read`` reads them again.
        """
        row = self._rows[slot]
        if len(row.ids) < length:
            raise RuntimeError(f"slot {slot} holds {len(row.ids)} tokens and not {length}")
        if not row.cut(length):
            ids = row.ids[:length]
            row = self._rows[slot] = RowCache()
            read(row, ids)
        return row

    def numbers(self, slot: int) -> Tensor:
        """All that the cache of a slot holds, ``[n]``."""
        return torch.cat([part.reshape(-1).double() for part in _tensors(self._rows[slot].cache)])

    def restart(self, slot: int) -> None:
        """Empty a slot that failed in the middle of a token, so that it is read again."""
        self._rows[slot] = RowCache()

    def replicate(self, source: int, targets: Sequence[int], length: int) -> None:
        for target in targets:
            if target != source:
                self._rows[target] = self._rows[source].clone()

    def copy(self, sources: Sequence[int], targets: Sequence[int], first: int, last: int) -> None:
        if first < last:
            cloned = [self._rows[source].clone() for source in sources]
            for target, row in zip(targets, cloned, strict=True):
                self._rows[target] = row

    def read(self, slot: int, length: int, start: int = 0) -> Kept:
        return self._rows[slot].clone()

    def write(self, slot: int, kept: Kept, start: int = 0) -> None:
        assert isinstance(kept, RowCache)
        self._rows[slot] = kept.clone()

    def _clear(self, slot: int, wipe: int) -> None:
        self._rows[slot] = RowCache()


def fit_rows(count: int, length: int, budget: int | None, constant: int, per_token: int) -> int:
    """How many of ``count`` rows of ``length`` tokens fit ``budget`` bytes; ``FEWEST`` at least."""
    if budget is None:
        return count
    row = max(1, constant + per_token * length)
    return max(min(count, FEWEST), min(count, budget // row))


def clone_cache(cache: Any) -> Any:
    """An independent copy of a cache.

    Keys and values grow by concatenation into new tensors, so the two may share them. A state is
    written in place, and is copied.
    """
    if not isinstance(cache, Cache):
        return copy.deepcopy(cache)
    cloned = copy.copy(cache)
    cloned.layers = [
        copy.copy(layer) if _grows_alone(layer) else copy.deepcopy(layer) for layer in cache.layers
    ]
    return cloned


def _grows_alone(layer: Any) -> bool:
    """Whether a layer holds nothing that is written in place: neither states nor containers."""
    return (
        isinstance(layer, DynamicLayer)
        and not isinstance(layer, LinearAttentionCacheLayerMixin)
        and not any(isinstance(part, dict | list) for part in vars(layer).values())
    )


def _tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor of a cache, each once."""
    seen: list[Any] = []
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, Tensor):
            yield each
        elif isinstance(each, dict):
            left += each.values()
        elif isinstance(each, list | tuple):
            left += each
        elif hasattr(each, "__dict__") and not isinstance(each, type):
            if not any(each is one for one in seen):
                seen.append(each)
                left += [v for k, v in vars(each).items() if k != "config"]
