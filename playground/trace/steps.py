"""The record of one chosen token: its candidates, the stages' distributions, ranks and times."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    field_serializer,
    model_serializer,
)

FinishReason = Literal[
    "eos", "stop", "length", "context", "waiting", "deadline", "cancelled", "error"
]
DIGITS = 7  # significant digits of a probability in JSON
_TIME_DIGITS = 5  # of seconds


class Record(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @classmethod
    def of(cls, **fields: Any) -> Self:
        """A record of ``fields``, in a fifth of the time of ``model_construct``.

        Every field must be given: nothing is validated, and no default is filled in.
        """
        record = cls.__new__(cls)
        for slot, value in (
            ("__dict__", fields),
            ("__pydantic_fields_set__", set(fields)),
            ("__pydantic_extra__", None),
            ("__pydantic_private__", None),
        ):
            object.__setattr__(record, slot, value)
        return record


class Terse(Record):
    """A record whose JSON leaves out the fields that have their defaults, as most do."""

    @model_serializer(mode="wrap")  # for JSON alone: with when_used, exclude= would do nothing
    def _without_defaults(  # type: ignore[no-untyped-def]
        self, whole: SerializerFunctionWrapHandler, info: SerializationInfo
    ):
        # With a return type here, the JSON schema would be that of a dictionary.
        written = whole(self)
        if info.mode_is_json():
            for name, default in _defaults(type(self)):
                if written.get(name, default) == default:
                    written.pop(name, None)
        return written


@cache
def _defaults(kind: type[BaseModel]) -> tuple[tuple[str, Any], ...]:
    fields = kind.model_fields.items()
    optional = [(name, field) for name, field in fields if not field.is_required()]
    return tuple((name, field.get_default(call_default_factory=True)) for name, field in optional)


def rounded(value: float, digits: int = DIGITS) -> float:
    """``value`` with so many significant digits; by default those of a float32."""
    return float(f"{value:.{digits}g}")


class Candidates(Record):
    """The likeliest tokens of one distribution and the chosen one, in falling raw probability.

    The lists are parallel. ``stages[s][c]`` is candidate ``c``'s probability after stage ``s``, 0
    where a stage removed it. The last stage is the distribution that the search got; without stages
    that is ``raw``. JSON has the digits of a float32, which saves a third of the bytes.
    """

    ids: list[int]
    texts: list[str]
    raw: list[float]
    stages: list[list[float]]

    @field_serializer("raw", when_used="json")
    def _rounded(self, probabilities: list[float]) -> list[float]:
        return [rounded(p) for p in probabilities]

    @field_serializer("stages", when_used="json")
    def _each_rounded(self, stages: list[list[float]]) -> list[list[float]]:
        return [self._rounded(probabilities) for probabilities in stages]

    @property
    def final(self) -> list[float]:
        return self.stages[-1] if self.stages else self.raw

    def removed_by(self, candidate: int) -> int | None:
        """The index of the stage that removed this candidate, or None where it survived."""
        for s, probabilities in enumerate(self.stages):
            if probabilities[candidate] == 0.0:
                return s
        return None


class StageSummary(Terse):
    """A distribution after one stage: how many tokens are left and how uncertain it is."""

    survivors: int
    entropy: float
    threshold: float | None = Field(
        None,
        description="The threshold between the tokens it kept and removed, of the quantity that "
        "the `keeps_by` of its step names; null where there is none, or none at little cost.",
    )

    @field_serializer("entropy", "threshold", when_used="json")
    def _rounded(self, value: float | None) -> float | None:
        return None if value is None else rounded(value)


class Times(Record):
    """Seconds that one step took. ``forward`` is shared by ``forward_rows`` rows of all lanes.

    A first token's forward is the prefill of the prompt, which all lanes of the run share.
    """

    forward: float
    processors: float
    search: float
    record: float
    forward_rows: int

    @field_serializer("forward", "processors", "search", "record", when_used="json")
    def _rounded(self, seconds: float) -> float:
        return rounded(seconds, _TIME_DIGITS)


class TakenBack(Record):
    """Tokens that were written at a position and taken back before another was chosen there."""

    text: str
    token_ids: list[int]
    by: str = Field(description="The id of the strategy that took them back.")
    why: str = Field(description="Its reason, in a sentence.")


class StepRecord(Terse):
    """One chosen token, as a node of the lane's tree of choices.

    ``parent`` is the index in ``Trace.steps`` of the token before it, None at the start. Ranks
    count from 1. ``candidates`` and ``stages`` are of the distribution the token was chosen from.
    JSON leaves out the fields that have their defaults.
    """

    index: int = Field(description="Position among the generated tokens, from 0.")
    parent: int | None
    token: int
    text: str = Field(
        description="What it adds to the readable text; may be empty in the middle of a "
        "character, and always is for a special token."
    )
    special: bool = Field(
        False, description="Whether it is a special token, such as the end of a text."
    )
    raw_logprob: float = Field(description="Log-probability under the model alone.")
    logprob: float = Field(description="Log-probability after all stages.")
    raw_rank: int
    rank: int
    raw_entropy: float
    stages: list[StageSummary]
    candidates: Candidates
    logits: str = Field(
        "",
        description="The model's logits of the candidates and of every other token that a draw "
        "could take, and the distribution of the rest; packed, see `playground.trace.logits`. "
        "Empty where the search does not choose by the next token alone.",
    )
    score: float = Field(
        0.0, description="The score of the row in the search, e.g. a beam's log-probability."
    )
    draft: int | None = Field(
        None, description="Token drafted for this position, accepted if it is the chosen one."
    )
    draft_text: str = Field("", description="The text of the drafted token.")
    taken_back: list[TakenBack] = Field(
        default_factory=list,
        description="What was written here before and taken back, in the order of writing.",
    )
    times: Times
    at: float = Field(description="Seconds since the run was submitted.")

    @field_serializer("raw_logprob", "logprob", "raw_entropy", "score", when_used="json")
    def _rounded(self, value: float) -> float:
        return rounded(value)

    @field_serializer("at", when_used="json")
    def _to_microseconds(self, seconds: float) -> float:
        return round(seconds, 6)

    @property
    def piece(self) -> str:
        """The token's own text; what it adds to the readable text may be less, or nothing."""
        return self.candidates.texts[self.candidates.ids.index(self.token)]

    @property
    def raw_probability(self) -> float:
        return math.exp(self.raw_logprob)

    @property
    def probability(self) -> float:
        return math.exp(self.logprob)

    @property
    def entropy(self) -> float:
        return self.stages[-1].entropy if self.stages else self.raw_entropy
