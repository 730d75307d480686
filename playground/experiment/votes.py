"""Votes between two texts of one prompt and seed, and the strengths estimated from them.

Bradley & Terry 1952, with ties as in Davidson 1970, and an advantage of the text that was shown
first, which measures how far people lean to one side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from playground.experiment.statistics.interval import CONFIDENCE

Outcome = Literal["first", "second", "tie", "both bad"]

_PRIOR = 3.0  # deviation of log-strengths beforehand: recipes that won every vote stay finite

Array = NDArray[np.float64]


class Vote(BaseModel):
    """One person's choice between two texts, in the order in which they were shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: int = Field(ge=0)
    seed: int = Field(ge=0)
    first: int = Field(ge=0, description="The recipe whose text was shown first.")
    second: int = Field(ge=0, description="The recipe whose text was shown second.")
    outcome: Outcome
    voter: str = Field("", max_length=64)

    @model_validator(mode="after")
    def _two(self) -> Vote:
        if self.first == self.second:
            raise ValueError(f"first and second are both recipe {self.first}; give two recipes")
        return self


@dataclass(frozen=True)
class Strength:
    """A recipe's log-strength with its 95 % interval; their mean over recipes is 0.

    A lead of 1.1 wins three of four votes.
    """

    recipe: int
    value: float
    low: float
    high: float
    votes: int


@dataclass(frozen=True)
class Lean:
    """How far voters prefer the text shown first, as a log-odds, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return not self.low <= 0 <= self.high


@dataclass(frozen=True)
class Strengths:
    """The strengths of all recipes that were voted on, and how far voters lean to the first text.

    ``ties`` is the chance that two equally good texts are called a tie.
    """

    strengths: tuple[Strength, ...]
    position: Lean
    ties: float

    def wins(self, one: int, other: int) -> float:
        """The chance that a text of ``one`` is preferred to one of ``other``, given no tie."""
        by_recipe = {each.recipe: each.value for each in self.strengths}
        return 1 / (1 + math.exp(by_recipe[other] - by_recipe[one]))


def strengths(votes: Sequence[Vote], prior: float | None = _PRIOR) -> Strengths:
    """The maximum a posteriori strengths with 95 % intervals; "both bad" counts as a tie.

    ``prior`` is the standard deviation of a normal prior around 0 on log-strengths, on the lean and
    on the log-odds of a tie; None for maximum likelihood, where a recipe that won or lost all its
    votes has no finite strength. Raises ``ValueError`` where there is no vote.
    """
    from scipy import optimize, stats

    if not votes:
        raise ValueError("votes: there is none; strengths need one at least.")
    recipes = sorted({recipe for vote in votes for recipe in (vote.first, vote.second)})
    index = {recipe: i for i, recipe in enumerate(recipes)}
    count = len(recipes)
    first = np.array([index[vote.first] for vote in votes])
    second = np.array([index[vote.second] for vote in votes])
    kinds = ("first", "second")
    outcome = np.array([kinds.index(v.outcome) if v.outcome in kinds else 2 for v in votes])
    ties = bool((outcome == 2).any())
    weight = 0.0 if prior is None else 1 / prior**2

    def parts(values: Array) -> tuple[Array, Array]:
        """Logits of each outcome, ``[votes, 3]``, and their derivatives, ``[votes, 3, values]``."""
        logits = np.zeros((len(votes), 3))
        slopes = np.zeros((len(votes), 3, len(values)))
        rows = np.arange(len(votes))
        logits[:, 0] = values[first] + values[count]
        logits[:, 1] = values[second]
        logits[:, 2] = (values[first] + values[second] + values[count]) / 2
        logits[:, 2] += values[-1] if ties else -np.inf
        slopes[rows, 0, first] = slopes[rows, 1, second] = slopes[:, 0, count] = 1
        if ties:
            slopes[rows, 2, first] = slopes[rows, 2, second] = slopes[:, 2, count] = 0.5
            slopes[:, 2, -1] = 1
        return logits, slopes

    def loss(values: Array) -> tuple[float, Array, Array]:
        """The negative log-posterior, its gradient, and its Hessian."""
        logits, slopes = parts(values)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        p = shifted / shifted.sum(axis=1, keepdims=True)
        rows = np.arange(len(votes))
        mean = np.einsum("vo,vok->vk", p, slopes)
        gradient = (mean - slopes[rows, outcome]).sum(axis=0)
        curvature = np.einsum("vo,voj,vok->jk", p, slopes, slopes) - mean.T @ mean
        value = -float(np.log(np.maximum(p[rows, outcome], 1e-300)).sum())
        own = values[:count]
        gradient += weight * values
        curvature += weight * np.eye(len(values))
        # Only differences of strengths are identified, so a penalty holds their sum at 0.
        value += weight * float(values @ values) / 2 + float(own.sum()) ** 2 / 2
        gradient[:count] += own.sum()
        curvature[:count, :count] += 1
        return value, gradient, curvature

    start = np.zeros(count + 1 + ties)
    found = optimize.minimize(
        lambda values: loss(values)[0],
        start,
        jac=lambda values: loss(values)[1],
        hess=lambda values: loss(values)[2],
        method="trust-exact",
        options={"gtol": 1e-8},
    )
    best = found.x
    covariance = np.linalg.pinv(loss(best)[2])
    centre = np.eye(count) - 1 / count  # the spread of a strength around the mean of all
    own = centre @ covariance[:count, :count] @ centre
    reach = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))
    spread = reach * np.sqrt(np.maximum(np.diag(own), 0))
    margin = reach * math.sqrt(max(0.0, covariance[count, count]))
    tie = math.exp(best[-1]) if ties else 0.0
    return Strengths(
        strengths=tuple(
            Strength(
                recipe,
                float(best[i]),
                float(best[i] - spread[i]),
                float(best[i] + spread[i]),
                int(((first == i) | (second == i)).sum()),
            )
            for i, recipe in enumerate(recipes)
        ),
        position=Lean(float(best[count]), float(best[count] - margin), float(best[count] + margin)),
        ties=tie / (2 + tie),
    )


def agreement(votes: Sequence[Vote]) -> float | None:
    """Krippendorff's alpha (nominal, 2011) of voters who saw the same pair; None where none did.

    It is 1 where they all agree and 0 where they agree as often as by chance. The order in which
    the texts were shown makes no difference.
    """
    units: dict[tuple[int, int, int, int], list[str]] = {}
    for vote in votes:
        low, high = sorted((vote.first, vote.second))
        chosen = {"first": vote.first, "second": vote.second}.get(vote.outcome)
        word = "tie" if chosen is None else "low" if chosen == low else "high"
        units.setdefault((vote.prompt, vote.seed, low, high), []).append(word)
    several = [answers for answers in units.values() if len(answers) > 1]
    total = sum(map(len, several))
    if not several:
        return None
    differ = 0.0
    for answers in several:
        same = sum(answers.count(one) for one in answers)
        differ += (len(answers) ** 2 - same) / (len(answers) - 1)
    every = [one for answers in several for one in answers]
    expected = (total**2 - sum(every.count(one) for one in every)) / (total - 1)
    return 1.0 if expected == 0 else 1 - differ / expected
