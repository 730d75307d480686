"""The steps in which two recipes differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from playground.trace import ChainStep


@dataclass(frozen=True)
class Difference:
    """A step that two recipes do not share: its index in either, None where one lacks it."""

    left: int | None
    right: int | None


def differences(left: Sequence[ChainStep], right: Sequence[ChainStep]) -> list[Difference]:
    """The steps that are not the same, in the order of ``right``, then those it lacks.

    The n-th step of a strategy is compared with the n-th of the other recipe. One that is written
    alike but is in another order differs as well.
    """
    theirs, mine = _numbered(left), _numbered(right)
    kept = _in_order([theirs[key] for key in mine if key in theirs])
    found = []
    for key, at in mine.items():
        other = theirs.get(key)
        if other is None or left[other].written != right[at].written or other not in kept:
            found.append(Difference(other, at))
    return found + [Difference(at, None) for key, at in theirs.items() if key not in mine]


def phrase(
    difference: Difference, left: Sequence[ChainStep], right: Sequence[ChainStep], letter: str
) -> str:
    """The difference in words; ``letter`` is the left recipe's column."""
    if difference.right is None:
        assert difference.left is not None
        return f"no {left[difference.left].label}, which {letter} has"
    here = right[difference.right]
    if difference.left is None:
        return f"{here.label}, which {letter} lacks"
    there = left[difference.left]
    if here.written == there.written:
        return f"{here.label} in another place than in {letter}"
    setting = there.label.removeprefix(there.strategy).strip()
    return f"{here.label} instead of {letter}’s {setting or there.label}"


def _numbered(steps: Sequence[ChainStep]) -> dict[tuple[str, int], int]:
    """Each step's index, by its strategy and its number among the steps of that strategy."""
    met: Counter[str] = Counter()
    found = {}
    for index, step in enumerate(steps):
        found[step.strategy, met[step.strategy]] = index
        met[step.strategy] += 1
    return found


def _in_order(numbers: Sequence[int]) -> set[int]:
    """The longest subsequence of these numbers that rises."""
    best: list[list[int]] = []
    for at, number in enumerate(numbers):
        before = [best[i] for i in range(at) if numbers[i] < number]
        best.append([*max(before, key=len, default=[]), number])
    return set(max(best, key=len, default=[]))
