"""Texts as a tree of stretches: the tokens that some texts share, until they part or one ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from playground.trace import StepRecord


@dataclass(frozen=True)
class Stretch:
    """Consecutive tokens that the same texts share.

    ``parent`` is the index of the stretch before it, ``first`` the number of tokens before it in
    each text. ``texts`` are the numbers of the texts, and ``steps`` the records of one of them;
    the texts in ``ends`` end with it.
    """

    parent: int | None
    first: int
    texts: list[int]
    steps: Sequence[StepRecord]
    ends: list[int]


def stretches(paths: Sequence[Sequence[StepRecord]]) -> list[Stretch]:
    """The tree of these texts, each stretch followed by all that come after it.

    Those that go on from one stretch are in the order of their first texts. A text of no token is
    in none of them.
    """
    found: list[Stretch] = []
    # A stack of groups of texts that share so many tokens, and the stretch that they follow.
    left = [(group, 0, None) for group in reversed(_groups(paths, range(len(paths)), 0))]
    while left:
        texts, first, parent = left.pop()
        path, end = paths[texts[0]], first + 1
        while not _parts(paths, texts, end):
            end += 1
        ends = [text for text in texts if len(paths[text]) == end]
        number = len(found)
        found.append(Stretch(parent, first, texts, path[first:end], ends))
        going_on = [text for text in texts if len(paths[text]) > end]
        left += [(group, end, number) for group in reversed(_groups(paths, going_on, end))]
    return found


def _parts(paths: Sequence[Sequence[StepRecord]], texts: Sequence[int], at: int) -> bool:
    """Whether one of the texts ends before token ``at``, or has another one there."""
    if any(len(paths[text]) <= at for text in texts):
        return True
    first = paths[texts[0]][at]
    return any(not _alike(paths[text][at], first) for text in texts[1:])


def _alike(one: StepRecord, other: StepRecord) -> bool:
    """Whether two tokens are the same; those of two models may have one number and two texts."""
    return one is other or (one.token == other.token and one.piece == other.piece)


def _groups(
    paths: Sequence[Sequence[StepRecord]], texts: Sequence[int], at: int
) -> list[list[int]]:
    """The texts by their token ``at``, those without one left out."""
    groups: dict[tuple[int, str], list[int]] = {}
    for text in texts:
        if len(paths[text]) > at:
            step = paths[text][at]
            groups.setdefault((step.token, step.piece), []).append(text)
    return list(groups.values())
