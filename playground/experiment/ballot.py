"""A blind vote: pairs of texts of one prompt and seed, who sees which pair, and when it ends."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from playground.experiment.cells import Cell
from playground.experiment.experiment import Experiment, ExperimentError
from playground.experiment.sample import Sample
from playground.experiment.statistics.anytime import share
from playground.experiment.votes import Outcome, Vote

MOST_RECIPES = 12
MOST_UNITS = 2000
MOST_VOTES = 5000
ALPHA = 0.05
_SHARED = 4  # of so many pairs that a voter sees, one is among those that all voters see
Answer = Literal["left", "right", "tie", "both bad"]
OUTCOMES: dict[Answer, Outcome] = {
    "left": "first", "right": "second", "tie": "tie", "both bad": "both bad",
}  # fmt: skip


class Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Unit(Closed):
    """Two texts to choose from; ``one`` and ``other`` are recipes, the first the lower number."""

    prompt: int
    seed: int
    one: int
    other: int
    texts: tuple[str, str]

    @property
    def pair(self) -> tuple[int, int]:
        return self.one, self.other


class Ballot(Closed):
    """The pairs of texts of a vote, and the rule by which it ends. A ballot never changes."""

    question: str
    prompts: dict[int, str]
    names: dict[int, str] = Field(description="Of the recipes, by their numbers.")
    units: list[Unit]
    shared: int  # of the units, the first so many are seen by every voter
    alike: int  # pairs that were left out, since their texts are the same
    most: int = Field(ge=1, le=MOST_VOTES, description="Votes after which it ends.")
    early: bool = Field(description="Whether it ends once every pair of recipes is decided.")
    salt: str

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        samples: Mapping[Cell, Sample],
        recipes: Sequence[int],
        most: int,
        early: bool,
        salt: str,
    ) -> Ballot:
        """A vote on some recipes of an experiment. Raises ``ExperimentError`` without a pair."""
        if not 2 <= len(set(recipes)) <= MOST_RECIPES:
            raise ExperimentError("recipes", f"Choose from 2 to {MOST_RECIPES} recipes.")
        if not all(0 <= recipe < len(experiment.recipes) for recipe in recipes):
            raise ExperimentError("recipes", "The experiment has no such recipe.")
        found, alike = _units(experiment, samples, sorted(set(recipes)))
        if not found:
            raise ExperimentError("recipes", "No two texts of these recipes are there that differ.")
        drawn = random.Random(salt)
        by_pair = [drawn.sample(units, len(units)) for units in found.values()]
        mixed = [unit for round_ in itertools.zip_longest(*by_pair) for unit in round_ if unit]
        kept = mixed[:MOST_UNITS]
        return cls(
            question=experiment.question,
            prompts={unit.prompt: experiment.prompts[unit.prompt].text for unit in kept},
            names={recipe: experiment.name(recipe) for recipe in sorted(set(recipes))},
            units=kept,
            shared=min(max(len(found), most // 10), max(1, len(kept) // _SHARED)),
            alike=alike,
            most=most,
            early=early,
            salt=salt,
        )

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The pairs of recipes that are voted on."""
        return sorted({unit.pair for unit in self.units})

    @property
    def rule(self) -> str:
        """When the vote ends, in a sentence that is shown before the first vote."""
        if not self.early:
            return f"The vote ends after {self.most:,} votes, whatever they are."
        return (
            f"The vote ends after {self.most:,} votes, or before that once it is known of every "
            "pair of recipes which one is preferred: once each interval, which may be looked at "
            f"after every vote and holds the truth with {100 * (1 - ALPHA):.0f} % for all pairs "
            "together, excludes a half."
        )

    def next(self, voter: str, cast: Sequence[tuple[str, int]]) -> int | None:
        """The number of the next unit for this voter; None where none is left.

        ``cast`` are the voter and unit of each vote. One of four units is among those all see, so
        that agreement can be measured; of the others, the one with the fewest votes comes next.
        """
        own = {unit for who, unit in cast if who == voter}
        counts = Counter(unit for _, unit in cast)
        shared = [unit for unit in range(self.shared) if unit not in own]
        others = [unit for unit in range(self.shared, len(self.units)) if unit not in own]
        others.sort(key=lambda unit: (counts[unit], unit))
        first, second = (shared, others) if len(own) % _SHARED == 0 else (others, shared)
        return next(iter([*first, *second]), None)

    def swapped(self, voter: str, unit: int) -> bool:
        """Whether the text of ``other`` is shown first; drawn for each voter and unit."""
        return bool(hashlib.sha256(f"{self.salt} {voter} {unit}".encode()).digest()[0] & 1)

    def over(self, votes: Sequence[Vote]) -> str:
        """Why the vote has ended, in a sentence; empty while it goes on."""
        if len(votes) >= self.most:
            return f"All {self.most:,} votes are cast."
        if self.early and all(not low <= 0.5 <= high for low, high in self.shares(votes).values()):
            return f"After {len(votes):,} votes it is known of every pair which one is preferred."
        return ""

    def shares(self, votes: Sequence[Vote]) -> dict[tuple[int, int], tuple[float, float]]:
        """By pair, the interval of the first's share of the votes that prefer one of the two.

        Valid after every vote, for all pairs together (Bonferroni).
        """
        counts = self.counts(votes)
        alpha = ALPHA / len(self.pairs)
        return {
            pair: share(counts[pair]["one"], counts[pair]["other"], alpha) for pair in self.pairs
        }

    def counts(self, votes: Sequence[Vote]) -> dict[tuple[int, int], Counter[str]]:
        """By pair, the votes for ``one``, for the ``other``, for a tie, and for both bad."""
        found: dict[tuple[int, int], Counter[str]] = {pair: Counter() for pair in self.pairs}
        for vote in votes:
            one, other = sorted((vote.first, vote.second))
            chosen = {"first": vote.first, "second": vote.second}.get(vote.outcome)
            word = vote.outcome if chosen is None else "one" if chosen == one else "other"
            found[one, other][word] += 1
        return found


def _units(
    experiment: Experiment, samples: Mapping[Cell, Sample], recipes: Sequence[int]
) -> tuple[dict[tuple[int, int], list[Unit]], int]:
    """By pair of recipes all that may be shown, and how many pairs of texts are the same."""
    found: dict[tuple[int, int], list[Unit]] = {}
    alike = 0
    for prompt in range(len(experiment.prompts)):
        for seed in range(len(experiment.seeds)):
            for one, other in itertools.combinations(recipes, 2):
                both = [samples.get(Cell(prompt, recipe, seed)) for recipe in (one, other)]
                texts = [each.text for each in both if each is not None and each.error is None]
                if len(texts) < 2:
                    continue
                if texts[0].strip() == texts[1].strip():
                    alike += 1
                    continue
                unit = Unit(
                    prompt=prompt,
                    seed=experiment.seeds[seed],
                    one=one,
                    other=other,
                    texts=(texts[0], texts[1]),
                )
                found.setdefault((one, other), []).append(unit)
    return found, alike
