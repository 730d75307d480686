"""Ban phrases: what is on the list is taken back once it is written, and another way is tried."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import regex
from pydantic import AfterValidator, Field
from torch import Tensor

from .. import base
from ..base import Context, Info, Rewind, Row, setting
from ..notation import quote
from ..ops.bounded import Bounded, Unknown
from ..ops.phrases import Phrases, token_at
from ..ops.spellings import Text

_AT_A_PLACE = 10  # times that one token is made less likely in one place, then it stays


def _readable(expression: str) -> str:
    try:
        regex.compile(expression)
    except regex.error as error:
        raise ValueError(f"{quote(expression)} is no regular expression: {error}.") from None
    return expression


Expression = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_readable)]


@dataclass(frozen=True)
class Tried:
    """How often a text went back, and which tokens lost weight where: (place, token) and times."""

    lowered: tuple[tuple[tuple[int, int], int], ...] = ()
    times: int = 0
    standing: int = 0
    floor: int = 0  # characters that are left as they are


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
            "How much less likely the token that began it gets, as ten to the power of −10 times.",
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

    def initial_state(self) -> Tried:
        return Tried()

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        weight = 10 * self.params.strength * math.log(10)
        out = scores
        for i, row in enumerate(rows):
            for (place, token), times in row.state.lowered:
                if place == len(row.generated):
                    out = scores.clone() if out is scores else out
                    out[i, token] -= times * weight
        return out

    def rewind(self, row: Row) -> Rewind | None:
        state, tokens = row.state, row.generated
        text = self.context.decode(tokens)
        found = self._listed.first(text, state.floor, ended=row.done)
        if found is None:
            return None
        place = token_at(self.context.decode, tokens, found.start)
        lowered, key = dict(state.lowered), (place, tokens[place])
        spent = state.times == self.params.tries or lowered.get(key) == _AT_A_PLACE
        if spent or place < row.fixed:
            left = replace(state, standing=state.standing + 1, floor=found.end)
            return Rewind(0, state=left)
        lowered[key] = lowered.get(key, 0) + 1
        kept = tuple((one, times) for one, times in lowered.items() if one[0] <= place)
        floor = min(state.floor, len(self.context.decode(tokens[:place])))
        tried = Tried(kept, state.times + 1, state.standing, floor)
        return Rewind(len(tokens) - place, found.why, tried)

    def settled(self, row: Row) -> int:
        """Without what may yet turn out to be listed, nor what that going back would lead into."""
        count = len(row.generated)
        while count and row.state.times < self.params.tries:
            tokens = row.generated[:count]
            begun = self._listed.begun(self.context.decode(tokens), row.state.floor)
            if begun is None:
                break
            count = token_at(self.context.decode, tokens, begun)
        return count

    def measure(self, row: Row) -> Mapping[str, float]:
        state = row.state or Tried()
        standing = {"left standing": state.standing} if state.standing else {}
        return {"taken back": state.times, **standing}

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        raise Unknown(
            "it goes back once a phrase is written, and what would be written instead was not "
            "recorded."
        )
