"""The slots of keys and values that a lane owns, and which row each is for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from strategies import Row, SecondPrompt

Role = SecondPrompt | None  # the prompt that a sequence begins with: None is the run's own


class Store(Protocol):
    """Where rows keep their keys and values."""

    def copy(self, sources: Sequence[int], targets: Sequence[int], first: int, last: int) -> None:
        """Copy positions ``first`` to ``last`` of each source to its target, which is no source."""


class LaneSlots:
    """A slot for every row a lane may have, then as many again for every second prompt.

    A row is known by its slot in the first group, where its generated tokens follow the run's
    prompt. In every other group it has the slot of the same rank, where they follow that group's
    prompt.
    """

    def __init__(self, rows: int, prompt_length: int, second_prompts: Sequence[SecondPrompt]):
        self.roles: list[Role] = [None, *second_prompts]
        self.count = rows * len(self.roles)
        self.owned: list[int] = []  # empty before the lane starts, after it ends, and between turns
        self.paused: list[int] = []  # those it owned before it was paused
        self._rows = rows
        self._lengths = [prompt_length, *(len(prompt.tokens) for prompt in second_prompts)]

    def release(self) -> list[int]:
        """Give up the slots, and return them."""
        slots, self.owned = self.owned, []
        return slots

    def pause(self) -> list[int]:
        """Give up the slots until ``resume``, and return them."""
        self.paused = self.owned
        return self.release()

    def resume(self, slots: list[int]) -> dict[int, int]:
        """Own ``slots`` in place of those before; returns the new slot of each one before."""
        became = dict(zip(self.paused, slots, strict=True))
        self.owned, self.paused = slots, []
        return became

    def group(self, role: Role = None) -> list[int]:
        """The slots of all rows in this role."""
        first = self._rows * self.roles.index(role)
        return self.owned[first : first + self._rows]

    def beside(self, slot: int, role: Role) -> int:
        """Where the row of ``slot`` is kept in this role."""
        return slot if role is None else self.group(role)[self.group().index(slot)]

    def copy(
        self, store: Store, sources: Sequence[int], targets: Sequence[int], first: int, last: int
    ) -> None:
        """Copy the keys and values of each source's generated tokens ``first`` to ``last`` to its
        target, in every role.
        """
        for role, length in zip(self.roles, self._lengths, strict=True):
            store.copy(
                [self.beside(slot, role) for slot in sources],
                [self.beside(slot, role) for slot in targets],
                length + first,
                length + last,
            )

    def kept(self, row: Row) -> int:
        """Tokens whose keys and values are kept of a row, in all its roles."""
        return sum(self._lengths) + len(self.roles) * len(row.generated)

    def reach(self, generated: int) -> int:
        """Positions of a slot that ``generated`` tokens may have written."""
        return max(self._lengths) + generated


def tokens_of(row: Row, role: Role) -> tuple[int, ...]:
    """A row's tokens in this role: the role's prompt, and what the row generated."""
    return row.tokens if role is None else (*role.tokens, *row.generated)
