"""Where the rows of a step are in the slots, and how far each is read."""

from __future__ import annotations

import pytest
import torch

from playground.engine.attention.placement import BLOCK, DecodePlacement, Grouping


@pytest.mark.parametrize(
    "slots, positions, together, segments",
    [
        ([0, 1, 2], [3, 60, 63], True, [(0, 3, 0, BLOCK)]),
        ([0, 1, 2], [63, 64, 70], True, [(0, 1, 0, BLOCK), (1, 3, 1, 2 * BLOCK)]),
        ([0, 2, 3], [5, 5, 9], True, [(0, 1, 0, BLOCK), (1, 3, 2, BLOCK)]),
        ([4, 5], [5, 5], False, [(0, 1, 4, BLOCK), (1, 2, 5, BLOCK)]),
        ([1], [149], True, [(0, 1, 1, 150)]),  # storage ends there
    ],
)
def test_neighbours_of_one_length_are_read_together(
    slots: list[int],
    positions: list[int],
    together: bool,
    segments: list[tuple[int, int, int, int]],
) -> None:
    store = torch.empty(8, 3, 150, 4)
    placement = DecodePlacement.of(slots, positions, Grouping(together=together), store)
    assert [tuple(segment) for segment in placement.segments.tolist()] == segments
    assert placement.slots.tolist() == slots and placement.positions.tolist() == positions
    assert placement.mask.shape == (len(slots), 1, 1, max(length for *_, length in segments))
    assert (placement.mask == 0).sum(-1).flatten().tolist() == [p + 1 for p in positions]
