"""What a search over several rows weighed at each step, and the tree of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import ConfigDict, Field, field_serializer

from playground.trace.steps import DIGITS, FinishReason, Record

# The fate of a row after a token: the search kept continuations of it, it ended there, no
# continuation of it was kept, or it was still being generated.
Fate = Literal["continued", "ended", "pruned", "running"]


class PassedOver(Record):
    """The continuations at one position that a search weighed and did not take.

    The lists are parallel, the best first.
    """

    index: int = Field(description="Position among the generated tokens, from 0.")
    parents: list[int | None] = Field(
        description="The step record that each would have followed; null for the first token."
    )
    tokens: list[int]
    texts: list[str] = Field(description="Each token by itself.")
    scores: list[float] = Field(description="As `score` of a step record.")

    @field_serializer("scores", when_used="json")
    def _rounded(self, scores: list[float]) -> list[float]:
        return [float(f"{score:.{DIGITS}g}") for score in scores]


class EndedRow(Record):
    """A text that was finished, by the step record of its last token."""

    node: int
    reason: FinishReason


class BeamRecord(Record):
    """What a trace holds of a search over several rows, beside the records of the tokens taken."""

    weighs_by: str = Field(
        description="What whole texts are ranked by: `score`, or a value derived from it."
    )
    weights: list[float | None] = Field(
        description="That of the text up to each step record, in the order of `Trace.steps`; null "
        "where it was not recorded."
    )
    groups: list[int | None] = Field(
        default_factory=list,
        description="The group of the row that each step record is of, from 0, in the same order; "
        "empty where the search keeps no groups.",
    )
    ended: list[EndedRow] = Field(description="All finished texts, those not kept included.")
    passed: list[PassedOver] = Field(description="In the order of their positions.")

    @field_serializer("weights", when_used="json")
    def _rounded(self, weights: list[float | None]) -> list[float | None]:
        return [w if w is None else float(f"{w:.{DIGITS}g}") for w in weights]

    def after(self, ahead: int) -> BeamRecord:
        """The record of a trace with so many step records put before its own, one after another."""
        last = ahead - 1 if ahead else None
        return self.model_copy(
            update={
                "weights": [None] * ahead + self.weights,
                "groups": [None] * ahead + self.groups if self.groups else [],
                "ended": [one.model_copy(update={"node": one.node + ahead}) for one in self.ended],
                "passed": [
                    one.model_copy(
                        update={
                            "index": one.index + ahead,
                            "parents": [last if p is None else p + ahead for p in one.parents],
                        }
                    )
                    for one in self.passed
                ],
            }
        )


class Beam(Record):
    """One token of a row, after the same tokens before it: a node of the tree.

    Its number in `beams` is that of its step record in the trace.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    parent: int | None = Field(description="The token before it; null for a first token.")
    index: int = Field(description="Position among the generated tokens, from 0.")
    token: int
    text: str = Field(description="The token by itself.")
    logprob: float = Field(description="Of the token, after all steps of the recipe.")
    score: float = Field(
        description="Of the text so far: what the search keeps, a beam's summed log-probability; "
        "the sum of `logprob` where it keeps none."
    )
    weight: float | None = Field(
        description="What whole texts are ranked by, such as the score over the length; null "
        "where it was not recorded."
    )
    place: int = Field(description="Its rank by score among the rows of its position, from 1.")
    group: int | None = Field(
        None, description="The group of its row, from 0, where the search keeps rows in groups."
    )
    fate: Fate
    best: bool = Field(description="Whether it is a token of the text that is shown.")


class PassedBeam(Record):
    """A continuation that the search weighed and did not take."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parent: int | None
    index: int
    token: int
    text: str
    score: float


class BeamText(Record):
    """A text of the lane, in the order in which they are shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    node: int | None = Field(description="Its last token in `beams`; null for an empty text.")
    tokens: int
    score: float
    weight: float | None
    finish_reason: FinishReason | None


class BeamTree(Record):
    """All rows of a lane over the steps: those that were continued, were pruned, and ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lane: int
    recipe: str
    rows: int = Field(description="The most rows it kept at once, ended texts not counted.")
    positions: int = Field(description="Tokens of the longest row.")
    weighs_by: str = Field(description="The name of `weight`, as a person reads it.")
    recorded: bool = Field(
        description="Whether weights, ended texts that were not kept, and continuations that were "
        "not taken were recorded."
    )
    beams: list[Beam]
    passed: list[PassedBeam]
    texts: list[BeamText]

    def path(self, beam: int | None) -> list[int]:
        """The tokens that lead to this one, itself the last."""
        found: list[int] = []
        while beam is not None:
            found.append(beam)
            beam = self.beams[beam].parent
        return found[::-1]

    def following(self, beam: int | None) -> Sequence[int]:
        """The tokens by which rows continued this one, the best first."""
        after = [number for number, one in enumerate(self.beams) if one.parent == beam]
        return sorted(after, key=lambda number: self.beams[number].place)
