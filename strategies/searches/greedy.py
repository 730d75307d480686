"""Greedy search: the likeliest token, always."""

from __future__ import annotations

from .. import base
from ..base import Info, Move, Step


class Greedy(base.Search):
    info = Info(
        id="greedy",
        title="Greedy",
        summary="Takes the likeliest token at every step.",
        formula=r"x_t = \operatorname*{arg\,max}_i z_i",
        source="transformers (do_sample=False)",
        url="https://huggingface.co/docs/transformers/generation_strategies",
        advice="Use it where the same input must give the same answer, and to see what the model "
        "finds likeliest. Open-ended text soon turns dull or starts to loop.",
    )

    chooses = "likeliest"

    def advance(self, step: Step) -> list[Move]:
        return [step.move(row, step.likeliest(row)) for row in range(len(step.rows))]
