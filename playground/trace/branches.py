"""The texts of a comparison as one tree, and how far apart two of its columns are."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from playground.trace.steps import Record


class TextBranch(Record):
    """A token that some texts share, after the same tokens before it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parent: int | None = Field(
        description="Index in `branches` of the token before it; null for a first token."
    )
    token: int
    text: str = Field(description="The token by itself.")
    count: int = Field(description="How many texts have it.")
    texts: list[tuple[int, int]] = Field(description="Which: lane and sample, from 0.")
    raw_probability: float = Field(description="Its probability by the model.")
    probabilities: list[float] = Field(
        description="Its probability after each of those texts' recipes, in the order of `texts`."
    )
    ends: list[tuple[int, int]] = Field(description="The texts whose last token it is.")


class TextTree(Record):
    """All texts as one tree from the prompt.

    The branches are in one list, since texts are longer than JSON may be nested.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int = Field(description="How many texts there are.")
    branches: list[TextBranch] = Field(
        description="Each followed by all that comes after it, the most shared first."
    )


class StepDistance(Record):
    """The Jensen-Shannon distance at one step, at least and at most."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    high: float


class ColumnDistance(Record):
    """The distance of two columns over the steps before which their shown texts are the same.

    Distances are square roots of the Jensen-Shannon divergence to base 2: 0 for equal
    distributions, 1 for those that share no token.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    left: int
    right: int
    steps: list[StepDistance]
    low: float | None = Field(description="The mean over the steps, at least; null without any.")
    high: float | None = Field(description="And at most.")
