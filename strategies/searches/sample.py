"""Sampling: draws each token with its probability, by the Gumbel-max trick."""

from __future__ import annotations

from .. import base
from ..base import Info, Move, Step, setting

MOST = 256  # texts of one prompt


class Sample(base.Search):
    info = Info(
        id="sample",
        title="Sample",
        summary="Draws each token at random with its probability; n texts from one prompt.",
        formula=r"x_t = \operatorname*{arg\,max}_i \left( z_i + g_i \right), \quad "
        r"g_i \sim \mathrm{Gumbel}(0, 1)",
        source="Gumbel-max: Maddison, Tarlow & Minka 2014",
        url="https://arxiv.org/abs/1411.0030",
        advice="Use it wherever variety matters, as in stories and conversation, and to see the "
        "range of what a model may say. Without a truncation an unlikely token slips in sooner or "
        "later, so put top-p or min-p before it.",
    )

    class Params(base.Params):
        n: int = setting(
            1,
            "How many texts are drawn, each with its own luck.",
            usual=(1, 8),
            step=1,
            ge=1,
            le=MOST,
        )

    chooses = "draw"
    independent = True

    def width(self) -> int:
        return int(self.params.n)

    def advance(self, step: Step) -> list[Move]:
        # One row, from which every text starts; later there are as many as texts.
        first = len(step.rows) + len(step.finished) + len(step.waiting) < self.params.n
        samples = range(self.params.n) if first else [row.sample for row in step.rows]
        rows = [0 if first else i for i in range(len(samples))]
        return [
            step.move(row, step.draw(row, sample), sample=sample)
            for row, sample in zip(rows, samples, strict=True)
        ]
