"""Power sampling: a text drawn from a power of its probability, by trying other endings of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .. import base
from ..base import Info, Move, Rewind, Row, Step, setting
from ..ops.noise import uniform


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


class PowerSample(base.Search):
    info = Info(
        id="power_sample",
        title="Power sampling",
        summary="Draws a whole text with a power of its probability, by trying other endings.",
        formula=r"\pi(y) \propto p(y)^\alpha, \quad P(\text{accept } y') = \min\!\left(1, \frac{"
        r"p(y')^\alpha\, q(y \mid y')}{p(y)^\alpha\, q(y' \mid y)}\right), \quad q \propto "
        r"p(\cdot \mid y_{<t})^\alpha",
        source="Karan & Du 2025",
        url="https://arxiv.org/abs/2510.14901",
        advice="Use it for reasoning, where it finds texts that are likely as a whole and not only "
        "word by word, as a low temperature does. It writes each text many times over, and every "
        "ending that it gives up costs its steps.",
    )

    class Params(base.Params):
        alpha: float = setting(
            4.0,
            "The power; 1 is the model itself.",
            usual=(1.0, 8.0),
            step=0.5,
            ge=1.0,
            le=100.0,
        )
        block: int = setting(
            16,
            "After how many more tokens endings are tried.",
            usual=(4, 192),
            step=4,
            ge=1,
            le=4096,
        )
        steps: int = setting(
            4, "How many endings are tried then.", usual=(0, 10), step=1, ge=0, le=100
        )

    chooses = "drawn text"
    rewinds = True

    def draft(self, row: Row) -> Sequence[int]:
        """What is written out again, which one forward reads."""
        walk, at = row.state or Walk(), len(row.generated) - row.fixed
        return [token.id for token in walk.text[at : walk.start]]

    def advance(self, step: Step) -> Sequence[Move | Rewind]:
        (row,) = step.rows
        written, walk = row.generated[row.fixed :], row.state or Walk()
        while True:
            kept = _common(written, walk)
            if kept < min(len(written), walk.start):  # another ending stands there
                return [Rewind(len(written) - kept, state=walk)]
            if len(written) < walk.start:
                token = walk.text[len(written)].id
                return [step.move(0, token, state=walk)]
            if len(written) > walk.start + len(walk.ending):
                back = len(written) - walk.start - len(walk.ending)
                return [Rewind(back, state=walk)]
            token = self._drawn(step, walk)
            ending = (*walk.ending, token)
            length = walk.start + len(ending)
            if not step.ends(0, token.id) and length < walk.block * self.params.block:
                return [step.move(0, token.id, state=replace(walk, ending=ending))]
            walk = self._decided(row, replace(walk, ending=ending))

    def _drawn(self, step: Step, walk: Walk) -> Token:
        own = self.params.alpha * step.logprobs[0]
        # The first way on is drawn with the luck of the column, every other with its own.
        tried = walk.asked + 1 if walk.start < len(walk.text) else 0
        id = int((own + step.noise(tried)).argmax())
        return Token(id, float(step.logprobs[0, id]), float(own.log_softmax(-1)[id]))

    def _decided(self, row: Row, walk: Walk) -> Walk:
        """The walk once an ending is whole: with it or without, and where the next one begins."""
        old, new, start = walk.text[walk.start :], walk.ending, walk.start
        text = (*walk.text[:start], *new)
        if old:
            gain = self.params.alpha * (_sum(new, "logprob") - _sum(old, "logprob"))
            gain += _sum(old, "proposed") - _sum(new, "proposed")
            gain += math.log(len(walk.text) / len(text))  # the chance of beginning at this place
            luck = uniform(row.seed, row.sample, walk.asked, "power_sample accept")
            accepted = math.log(luck) < gain
            text = text if accepted else walk.text
            walk = replace(
                walk, tries=walk.tries + 1, asked=walk.asked + 1, taken=walk.taken + accepted
            )
        walk = replace(walk, text=text, ending=())
        if walk.tries < self.params.steps:
            place = uniform(row.seed, row.sample, walk.asked, "power_sample place")
            return replace(walk, start=int(place * len(text)))
        return replace(walk, start=len(text), block=walk.block + 1, tries=0)

    def measure(self, row: Row, rows: Sequence[Row]) -> Mapping[str, float]:
        walk = row.state
        return {"endings tried": walk.asked, "endings taken": walk.taken} if walk else {}


def _common(written: Sequence[int], walk: Walk) -> int:
    """How many tokens of the row the walk's text begins with, up to where it goes on."""
    pairs = zip(written, walk.text[: walk.start], strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b.id), min(len(written), walk.start))


def _sum(tokens: Sequence[Token], name: str) -> float:
    return math.fsum(getattr(token, name) for token in tokens)
