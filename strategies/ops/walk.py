"""A walk among texts that differ in their endings, by Metropolis and Hastings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .noise import uniform


@dataclass(frozen=True)
class Token:
    """A token with its log-probability, and the one it was proposed with."""

    id: int
    logprob: float
    proposed: float


@dataclass(frozen=True)
class Walk:
    """The text that the walk stands at, and the ending that is being tried instead.

    The row holds ``text[:start]`` and ``ending``, or is being given ``text`` up to ``start``.
    """

    text: tuple[Token, ...] = ()
    ending: tuple[Token, ...] = ()
    start: int = 0
    block: int = 1
    tries: int = 0  # in this block
    asked: int = 0  # endings that were tried in all
    taken: int = 0  # and of those the ones that the text went on with

    def common(self, written: Sequence[int]) -> int:
        """How many tokens of a row the text begins with, up to where an ending is tried."""
        pairs = zip(written, self.text[: self.start], strict=False)
        most = min(len(written), self.start)
        return next((n for n, (a, b) in enumerate(pairs) if a != b.id), most)

    def decided(self, alpha: float, steps: int, seed: int, sample: int) -> Walk:
        """With the ending, now whole, or without it; and where the next one begins.

        So that texts come with their probability to the power of ``alpha``: Metropolis and
        Hastings. After ``steps`` endings of a block the text goes on at its end.
        """
        old, new = self.text[self.start :], self.ending
        text, walk = (*self.text[: self.start], *new), self
        if old:
            gain = alpha * (_sum(new, "logprob") - _sum(old, "logprob"))
            gain += _sum(old, "proposed") - _sum(new, "proposed")
            gain += math.log(len(self.text) / len(text))  # the chance of beginning at this place
            accepted = math.log(uniform(seed, sample, self.asked, "power_sample accept")) < gain
            text = text if accepted else self.text
            walk = replace(
                self, tries=self.tries + 1, asked=self.asked + 1, taken=self.taken + accepted
            )
        walk = replace(walk, text=text, ending=())
        if walk.tries < steps:
            place = uniform(seed, sample, walk.asked, "power_sample place")
            return replace(walk, start=int(place * len(text)))
        return replace(walk, start=len(text), block=walk.block + 1, tries=0)


def _sum(tokens: Sequence[Token], name: str) -> float:
    return math.fsum(getattr(token, name) for token in tokens)
