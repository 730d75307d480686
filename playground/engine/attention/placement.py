"""Where the rows of a forward are in the slots: what each row writes, and what it attends to.

A row's keys are laid out to a length that depends on its own position alone, and those it does not
have are masked. Neighbouring rows of one such length are one strided view of the slots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor

from playground.engine.scripted import scripted

BLOCK = 64  # keys are laid out to a multiple of it

# A mask function in the form of transformers: whether queries attend to keys, by the indices of
# rows and heads and the positions of queries and keys, which are broadcast.
Allowed = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class PrefillPlacement:
    """Tokens of one row from a position on: a prompt, or a later chunk of one.

    ``origin`` is the row's slot and that position, on the CPU. ``mask``, bool ``[tokens, tokens
    read before and now]``, is that of a later chunk of several tokens, and empty otherwise.
    ``positions`` are those of the tokens. ``capacity`` and ``stores`` are as in
    ``DecodePlacement``.
    """

    origin: Tensor
    mask: Tensor
    positions: Tensor
    capacity: int
    stores: tuple[Tensor, Tensor] | None = None

    @classmethod
    def of(cls, slot: int, start: int, tokens: int, store: Tensor) -> PrefillPlacement:
        """``tokens`` of the row in ``slot``, the first of them at position ``start``, over one
        layer's ``store`` ``[slots, heads, length, size]``.
        """
        capacity, device = store.shape[2], store.device
        mask = torch.empty(0, dtype=torch.bool, device=device)
        if start and tokens > 1:
            mask = torch.ones(tokens, start + tokens, dtype=torch.bool, device=device).tril(start)
        positions = torch.arange(start, start + tokens, device=device)
        return cls(torch.tensor([slot, start]), mask, positions, capacity)

    def bounded(self, allowed: Allowed) -> Tensor:
        """The mask of a layer that attends to less: bool ``[1, 1, tokens, tokens read]``."""
        keys = _count_to(self.origin, self.positions)
        query = self.positions[None, None, :, None]
        row = torch.zeros_like(query[:, :, :1])
        return allowed(row, row, query, keys[None, None, None])


@dataclass(frozen=True)
class DecodePlacement:
    """One token of each of several rows.

    ``slots`` and ``positions``, ``[rows]``, are where each token is written. Each of ``segments``,
    ``[segments, 4]`` on the CPU, stands for neighbouring rows: the first row, the one after the
    last, the first one's slot, and the length to which their keys are read. ``mask``, ``[rows, 1,
    1, longest]``, is 0 where a row has a token and -inf elsewhere. ``queries`` is that of the
    ``Grouping``. After the rows of the slots come ``idle`` ones, which write nothing and attend to
    nothing. ``capacity`` is the length of every slot. ``stores`` are the keys and values of all
    layers, ``[layers, slots, key-value heads, length, size]``, where they are not those of the
    model's cache.
    """

    slots: Tensor
    positions: Tensor
    segments: Tensor
    mask: Tensor
    capacity: int
    queries: int = 1
    idle: int = 0
    stores: tuple[Tensor, Tensor] | None = None

    @classmethod
    def of(
        cls,
        slots: Sequence[int],
        positions: Sequence[int],
        grouping: Grouping,
        store: Tensor,
        idle: int = 0,
    ) -> DecodePlacement:
        """Rows in rising slot order over one layer's ``store`` ``[slots, heads, length, size]``."""
        capacity, device = store.shape[2], store.device
        lengths = [min(capacity, -(-(position + 1) // BLOCK) * BLOCK) for position in positions]
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
        written = torch.tensor(list(slots), device=device)
        each = torch.tensor(segments)
        return cls(written, at, each, mask, capacity, grouping.queries, idle)

    def bounded(self, allowed: Allowed) -> Tensor:
        """The mask of a layer that looks at less, as ``mask``."""
        return _bounded(self.mask, self.positions, allowed)


@dataclass(frozen=True)
class GatheredPlacement:
    """One token of each row, in shapes that do not depend on where the rows are.

    Storage is seen as ``[slots * key-value heads * length, size]``. ``write``, ``[rows, key-value
    heads]``, indexes each row's token in it, and ``read``, ``[rows, key-value heads, length]``, the
    tokens laid out for the row. ``mask``, ``[rows, 1, 1, length]``, is 0 where the row has such a
    token and -inf elsewhere. ``positions``, ``[rows]``, ``capacity`` and ``queries`` are as in
    ``DecodePlacement``.
    """

    write: Tensor
    read: Tensor
    mask: Tensor
    positions: Tensor
    capacity: int
    queries: int = 1

    def bounded(self, allowed: Allowed) -> Tensor:
        """The mask of a layer that looks at less, as ``mask``."""
        return _bounded(self.mask, self.positions, allowed)


@scripted
def _count_to(origin: Tensor, positions: Tensor) -> Tensor:
    """0, 1, … up to the last of ``positions``, of which the first is ``origin[1]``."""
    return torch.arange(int(origin[1]) + positions.shape[0], device=positions.device)


def _bounded(mask: Tensor, positions: Tensor, allowed: Allowed) -> Tensor:
    rows = torch.arange(mask.shape[0], device=mask.device)[:, None, None, None]
    keys = torch.arange(mask.shape[-1], device=mask.device)[None, None, None]
    query = positions[:, None, None, None]
    return mask.masked_fill(~allowed(rows, torch.zeros_like(rows), query, keys), -torch.inf)


Placement = PrefillPlacement | DecodePlacement | GatheredPlacement


@dataclass(frozen=True)
class Grouping:
    """How attention batches rows so that a row keeps its bits whatever is beside it.

    The queries of one key-value head are padded to a multiple of ``queries``: torch's CPU kernel
    gives each thread a scratch buffer of that many rows, and its alignment changes the last bits.
    Without ``together`` each row is attended to by itself.
    """

    queries: int = 4
    together: bool = True


# The model's own modules are between the forward and its attention. A context variable passes the
# placement through them, on this thread alone: a prompt may be scored on another meanwhile.
_current: ContextVar[Placement | None] = ContextVar("placement", default=None)


def current_placement() -> Placement | None:
    """The placement of the engine's forward in progress on this thread; None outside of one."""
    return _current.get()


@contextmanager
def use_placement(placement: Placement) -> Iterator[None]:
    """Inside, forwards read and write the slots by ``placement``."""
    token = _current.set(placement)
    try:
        yield
    finally:
        _current.reset(token)
