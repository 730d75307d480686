"""A lane's recipe as data, so that a saved trace is drawn without its strategies."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field

from playground.trace.steps import Record

# How a search chooses: it takes the likeliest token, draws one, seeks a whole text of high score,
# draws among the texts it keeps, weighs likeness to what came before, or has a person choose.
Choosing = Literal["likeliest", "draw", "text", "drawn text", "likeness", "person"]

# What a processor's threshold is a value of: see ``strategies.distribution``.
Measure = Literal["probability", "rank", "mass", "typicality", "ceiling"]

LONGEST = 40  # characters of a label


class ChainStep(Record):
    """One step of a recipe: a processor or the search, with its settings."""

    strategy: str = Field(description="The strategy's id.")
    params: dict[str, Any] = Field(
        description="Its settings by name, every one; of a trace that was saved before these were, "
        "those that the recipe names."
    )
    written: str = Field(description="Its part of the recipe's one-line form.")
    label: str = Field(description="As a person reads it: `top_p 0.95`.")
    enabled: bool = Field(True, description="Whether it was switched on.")
    keeps_by: Measure | None = Field(
        None,
        description="What a token needs to stay: a `probability` of at least the threshold, a "
        "`rank` of at most it, likelier tokens whose `mass` is below it, a surprise at most that "
        "far from the entropy (`typicality`); `ceiling`: of those that have at least that "
        "probability only the least likely stays. Null where it keeps by something else.",
    )


class Chain(Record):
    """The steps of a recipe in order, those switched off included; the search is the last."""

    steps: list[ChainStep] = Field(min_length=1)
    chooses: Choosing | None = Field(
        None,
        description="How the search chooses: the `likeliest` token; by a `draw`; by the score of a "
        "whole `text`; `drawn text`: it draws among texts; by `likeness` to what came before; a "
        "`person` does. Null where it does not declare it.",
    )

    @property
    def processors(self) -> list[ChainStep]:
        """The processors that ran, in order; a step record has one of its ``stages`` for each."""
        return [step for step in self.steps[:-1] if step.enabled]

    @property
    def search(self) -> ChainStep:
        return self.steps[-1]

    @property
    def asks(self) -> bool:
        """Whether a person chooses each token."""
        return self.chooses == "person"

    @property
    def written(self) -> str:
        """The recipe's one-line form."""
        return " | ".join(step.written for step in self.steps)


def label(written: str) -> str:
    """A step's one-line form as a person reads it: ``top_p(0.95)`` is ``top_p 0.95``.

    A long text in it is left out, and what is still long is cut.
    """
    name = re.sub(r"^~?(\w+)\((.*)\)$", r"\1 \2", written, flags=re.DOTALL).strip()
    name = re.sub(r'"(?:[^"\\]|\\.){20,}"', "…", name, flags=re.DOTALL)
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
