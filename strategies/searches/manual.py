"""By hand: a person picks each token from the candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field

from .. import base
from ..base import Info, Move, Refusal, Row, Step, Strategy, setting

AT_ONCE = 32  # picks that are read in one forward when a text is gone through again

TokenId = Annotated[int, Field(ge=0, le=2**31 - 1)]


class Manual(base.Search):
    info = Info(
        id="manual",
        title="By hand",
        summary="Lets you pick each token from the candidates that the recipe leaves.",
        formula=r"x_t \in \{ i : p_i > 0 \}, \text{ your choice}",
        source="after GLTR: Gehrmann, Strobelt & Rush 2019",
        url="https://arxiv.org/abs/1906.04043",
        advice="Use it to feel what a search decides at every step, and to see where another word "
        "would have led. For a text of any length let a search do the picking.",
    )

    class Params(base.Params):
        picks: tuple[TokenId, ...] = setting(
            (),
            "The ids of the tokens picked so far, in order.",
            max_length=1024,
            examples=[[], [1], [1, 3, 4]],
        )

    asks: ClassVar = True

    def refuse(self, chain: Sequence[Strategy]) -> None:
        unknown = [pick for pick in self.params.picks if pick >= self.context.vocab_size]
        if unknown:
            raise ValueError(
                f"picks has {unknown[0]}, and this model's ids end at "
                f"{self.context.vocab_size - 1:,}."
            )

    def draft(self, row: Row) -> Sequence[int]:
        picks: tuple[int, ...] = self.params.picks
        return picks[len(row.generated) :][:AT_ONCE]

    def advance(self, step: Step) -> list[Move]:
        written = len(step.rows[0].generated)
        if written == len(self.params.picks):
            return []
        token = self.params.picks[written]
        if step.scores[0, token] == -torch.inf:
            raise Refusal(f"Pick {written + 1}, token {token}, was removed by the recipe.")
        return [step.move(0, token)]
