"""What two recipes differ in, told from their steps as written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from playground.charts.text import reads


@dataclass(frozen=True)
class Difference:
    """A step that two recipes do not share: its index in either, None where one lacks it."""

    left: int | None
    right: int | None


def differences(left: Sequence[str], right: Sequence[str]) -> list[Difference]:
    """The steps that are not the same, in the order of ``right``, then those it lacks.

    The n-th step of a strategy stands against the n-th of the other recipe. One that is written
    alike but follows another order of steps differs as well.
    """
    theirs, mine = _numbered(left), _numbered(right)
    kept = _in_order([theirs[key] for key in mine if key in theirs])
    found = []
    for key, at in mine.items():
        other = theirs.get(key)
        if other is None or left[other] != right[at] or other not in kept:
            found.append(Difference(other, at))
    return found + [Difference(at, None) for key, at in theirs.items() if key not in mine]


def phrase(difference: Difference, left: Sequence[str], right: Sequence[str], whose: str) -> str:
    """The difference in words; ``whose`` is the name of the left recipe's column."""
    if difference.right is None:
        assert difference.left is not None
        return f"no {reads(left[difference.left])}, which {whose} has"
    here = right[difference.right]
    if difference.left is None:
        return f"{reads(here)}, which {whose} lacks"
    there = left[difference.left]
    if here == there:
        return f"{reads(here)} in another place than in {whose}"
    setting = reads(there).removeprefix(_id(there)).strip()
    return f"{reads(here)} instead of {whose}’s {setting or reads(there)}"


def _id(step: str) -> str:
    return step.partition("(")[0].strip()


def _numbered(steps: Sequence[str]) -> dict[tuple[str, int], int]:
    """Each step's index by its strategy and the how manieth of that strategy it is."""
    met: Counter[str] = Counter()
    found = {}
    for index, step in enumerate(steps):
        found[_id(step), met[_id(step)]] = index
        met[_id(step)] += 1
    return found


def _in_order(places: Sequence[int]) -> set[int]:
    """The longest part of these numbers that rises."""
    best: list[list[int]] = []
    for at, place in enumerate(places):
        before = [best[i] for i in range(at) if places[i] < place]
        best.append([*max(before, key=len, default=[]), place])
    return set(max(best, key=len, default=[]))
