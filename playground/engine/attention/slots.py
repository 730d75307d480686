"""The slots of rows, whatever is kept in them: which are allocated, and how they are copied."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Protocol

import torch

FEWEST = 16  # slots, however small the budget


class Kept(Protocol):
    """What is kept of a prompt, apart from any slot."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes."""


class Slots(ABC):
    """``count`` slots of ``length`` tokens. Not thread-safe: the loop alone calls it."""

    def __init__(self, count: int, length: int, device: torch.device) -> None:
        self.count, self.length, self.device = count, length, device
        self._allocated = [False] * count

    @property
    def free_count(self) -> int:
        return self._allocated.count(False)

    @property
    @abstractmethod
    def bytes_per_token(self) -> int:
        """Bytes that one token of one row takes, over all layers."""

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

    def fits(self, width: int, spare: int = 0, also: Collection[int] = ()) -> bool:
        """Whether ``allocate`` would find ``width`` and leave ``spare``, were ``also`` free too."""
        free = longest = count = 0
        for slot, allocated in enumerate(self._allocated):
            free = 0 if allocated and slot not in also else free + 1
            count += free > 0
            longest = max(longest, free)
        return longest >= width and count >= width + spare

    def free(self, slots: Sequence[int], *, wipe: int = 0) -> None:
        """Let others have these slots. Raises ``ValueError`` where one is free already.

        Their first ``wipe`` positions are cleared, where what they hold may not be finite.
        """
        for slot in slots:
            if not self._allocated[slot]:
                raise ValueError(f"slot {slot} was already free")
            self._allocated[slot] = False
            self._clear(slot, wipe)

    @abstractmethod
    def replicate(self, source: int, targets: Sequence[int], length: int) -> None:
        """Copy the first ``length`` positions of ``source`` to neighbouring ``targets``."""

    @abstractmethod
    def copy(self, sources: Sequence[int], targets: Sequence[int], first: int, last: int) -> None:
        """Copy positions ``first`` to ``last`` of each source to its target, which is no source.

        Before them, a target holds what its source does.
        """

    @abstractmethod
    def read(self, slot: int, length: int, start: int = 0) -> Kept:
        """A copy of ``length`` positions of a slot, or of all where they cannot be separated."""

    @abstractmethod
    def write(self, slot: int, kept: Kept, start: int = 0) -> None:
        """Write what ``read`` returned to a slot, from position ``start`` on."""

    @abstractmethod
    def _clear(self, slot: int, wipe: int) -> None:
        """A slot is free from now on."""
