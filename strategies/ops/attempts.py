"""What a processor that takes tokens back remembers of a text: what it tried, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from ..base import Row

IN_ONE_PLACE = 10  # times that a token loses weight in one place; written again, it stays


@dataclass(frozen=True)
class Attempts:
    """Which tokens lost weight where, and how many times; a value, as a state must be.

    ``times`` counts how often the text went back, ``standing`` what it was left with all the same.
    Before the character ``floor`` nothing is looked for any more.
    """

    lowered: tuple[tuple[tuple[int, int], int], ...] = ()  # (place, token) and times
    times: int = 0
    standing: int = 0
    floor: int = 0

    def at(self, place: int, token: int) -> int:
        """How many times this token lost weight there."""
        return dict(self.lowered).get((place, token), 0)

    def spent(self, place: int, token: int, tries: int) -> bool:
        """Whether the text may go back no more, or not for this token in this place."""
        return self.times >= tries or self.at(place, token) >= IN_ONE_PLACE

    def back(self, place: int, token: int, floor: int) -> Attempts:
        """Once more, with this token at ``place``; what lies behind it is forgotten."""
        lowered = dict(self.lowered)
        lowered[place, token] = self.at(place, token) + 1
        kept = tuple((one, times) for one, times in lowered.items() if one[0] <= place)
        return Attempts(kept, self.times + 1, self.standing, min(self.floor, floor))

    def recounted(self, now: Attempts) -> Attempts:
        """This earlier state, with the times that the text went back by ``now``."""
        return replace(self, times=now.times)

    def left(self, floor: int) -> Attempts:
        """With one more that is left standing before ``floor``."""
        return replace(self, standing=self.standing + 1, floor=floor)


def lower(scores: Tensor, rows: Sequence[Row], weight: float) -> Tensor:
    """Scores ``[n, vocab]`` less ``weight`` for each time that a token was taken back there.

    The rows' states are ``Attempts``; where nothing was, these are the scores that were given.
    """
    found = [
        (i, token, times)
        for i, row in enumerate(rows)
        for (place, token), times in row.state.lowered
        if place == len(row.generated)
    ]
    if not found:
        return scores
    out = scores.clone()
    for i, token, times in found:
        out[i, token] -= times * weight
    return out
