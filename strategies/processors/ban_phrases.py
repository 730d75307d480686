"""Ban phrases: what is on the list is taken back once it is written, and another way is tried."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from .. import base
from ..base import Context, Info, Rewind, Row, setting
from ..ops.attempts import Attempts, lower
from ..ops.expressions import Expression
from ..ops.phrases import Phrases, token_at
from ..ops.spellings import Text


class BanPhrases(base.Processor):
    info = Info(
        id="ban_phrases",
        title="Ban phrases",
        summary="Goes back to where a phrase on the list began, and draws another beginning.",
        formula=r"x_{k \dots t} \text{ is banned} \;\Rightarrow\; t \leftarrow k, \quad p'_k(x_k) "
        r"= p_k(x_k) \cdot 10^{-10 s}",
        source="antislop (Paech 2024); koboldcpp",
        url="https://github.com/sam-paech/antislop-sampler",
        advice="Use it against turns of phrase that a model is too fond of, however they are cut "
        "into tokens. Each one costs the steps that are taken back, and a phrase that the text "
        "cannot do without is left standing in the end, which is counted.",
    )

    class Params(base.Params):
        phrases: tuple[Text, ...] = setting((), "What is not written.", max_length=100)
        expressions: tuple[Expression, ...] = setting(
            (), "Regular expressions of what is not written.", max_length=20
        )
        strength: float = setting(
            1.0,
            "Its first token's probability is divided by 10 to the power of ten times this.",
            usual=(0.05, 1),
            step=0.05,
            ge=0.01,
            le=1,
        )
        tries: int = setting(
            50, "How often a text goes back at most.", usual=(0, 100), step=1, ge=0, le=1_000
        )
        ignore_case: bool = setting(True, "Whether capitals count as their small letters.")

    neutral: ClassVar = {"phrases": (), "expressions": ()}
    stateful = True
    beside: ClassVar = "bad_words"

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self._listed = Phrases(params.phrases, params.expressions, params.ignore_case)

    def initial_state(self) -> Attempts:
        return Attempts()

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        return lower(scores, rows, 10 * self.params.strength * math.log(10))

    def rewind(self, row: Row) -> Rewind | None:
        state, tokens, decode = row.state, row.generated, self.context.decode
        text = decode(tokens)
        while (found := self._listed.first(text, state.floor, ended=row.done)) is not None:
            place = token_at(decode, tokens, found.start)
            if place >= row.fixed and not state.spent(place, tokens[place], self.params.tries):
                before = len(decode(tokens[:place]))
                back = state.back(place, tokens[place], before)
                return Rewind(len(tokens) - place, found.why, back)
            state = state.left(found.end)
        return Rewind(0, state=state) if state is not row.state else None

    def after_rewind(self, earlier: Attempts, now: Attempts) -> Attempts:
        return earlier.recounted(now)

    def settled(self, row: Row) -> int:
        if row.state.times == self.params.tries:
            return len(row.generated)
        return self._listed.settled(self.context.decode, row.generated, row.state.floor)

    def measure(self, row: Row) -> Mapping[str, float]:
        state = row.state or Attempts()
        standing = {"left standing": state.standing} if state.standing else {}
        return {"taken back": state.times, **standing}
