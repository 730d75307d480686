"""Power sampling: a text drawn from a power of its probability, by trying other endings of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from .. import base
from ..base import Info, Move, Rewind, Row, Step, setting
from ..ops.walk import Token, Walk


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
            16,  # the paper's are of 192, tried 10 times each, for texts of 3,072 tokens
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
            kept = walk.common(written)
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
            walk = replace(walk, ending=ending).decided(
                self.params.alpha, self.params.steps, row.seed, row.sample
            )

    def _drawn(self, step: Step, walk: Walk) -> Token:
        own = self.params.alpha * step.logprobs[0]
        # The first way on is drawn with the noise of the column, every other with its own.
        tried = walk.asked + 1 if walk.start < len(walk.text) else 0
        id = int((own + step.noise(tried)).argmax())
        return Token(id, float(step.logprobs[0, id]), float(own.log_softmax(-1)[id]))

    def measure(self, row: Row, rows: Sequence[Row]) -> Mapping[str, float]:
        walk = row.state
        return {"endings tried": walk.asked, "endings taken": walk.taken} if walk else {}
