"""Which slot belongs to which row of a lane, in which role."""

from __future__ import annotations

from collections.abc import Sequence

from playground.engine.lanes.slots import LaneSlots, tokens_of
from strategies import Row, SecondPrompt

FIRST, SECOND = SecondPrompt((1, 2, 3, 4)), SecondPrompt((9,))
ROW = Row((5, 6, 7, 8), prompt_length=2)  # which generated 7 and 8


class Copies:
    """A store that notes what is copied."""

    def __init__(self) -> None:
        self.made: list[tuple[list[int], list[int], int, int]] = []

    def copy(self, sources: Sequence[int], targets: Sequence[int], first: int, last: int) -> None:
        self.made.append((list(sources), list(targets), first, last))


def owned() -> LaneSlots:
    slots = LaneSlots(2, 2, [FIRST, SECOND])
    slots.owned = [10, 11, 20, 21, 30, 31]
    return slots


def test_every_prompt_has_a_slot_for_every_row() -> None:
    slots = owned()
    assert slots.count == 6
    assert [slots.group(role) for role in slots.roles] == [[10, 11], [20, 21], [30, 31]]
    assert [slots.beside(11, role) for role in slots.roles] == [11, 21, 31]


def test_what_a_row_generated_stands_after_each_prompt() -> None:
    slots = owned()
    assert [tokens_of(ROW, role) for role in slots.roles] == [
        (5, 6, 7, 8),
        (1, 2, 3, 4, 7, 8),
        (9, 7, 8),
    ]
    assert slots.kept(ROW) == 4 + 6 + 3
    assert slots.reach(2) == 6  # in the slot with the longest prompt


def test_generated_tokens_are_copied_in_every_role() -> None:
    store = Copies()
    owned().copy(store, [11], [10], 0, 2)
    assert store.made == [([11], [10], 2, 4), ([21], [20], 4, 6), ([31], [30], 1, 3)]


def test_what_is_released_is_owned_no_more() -> None:
    slots = owned()
    assert slots.release() == [10, 11, 20, 21, 30, 31] and slots.owned == []
