"""What a program has a field for, and which steps of a recipe decide anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...recipe import Recipe, RecipeStep
from ..dialects import TEMPERATURES, Dialect


@dataclass(frozen=True)
class Vocabulary:
    """What a program has a field for, by strategy and setting, and how it means them.

    ``window`` is the field of how far back its penalties look, which is ``everything`` where they
    look at the whole text, ``order`` that of an order of steps,
    which ``step_names`` names, all of them in the program's own order. ``texts`` is the field of a
    number of texts, ``limits`` those of a run. ``within`` bounds what a field may be. ``stated``
    are fields that are always written, since the program has other values for them by itself.
    ``elsewhere`` says of a strategy why this form of the settings has no field for it; ``gone`` are
    fields that other versions had, each with the value that it is off at.
    """

    program: str
    dialect: Dialect
    names: Mapping[tuple[str, str], str]
    window: str = ""
    everything: int = 0
    order: str = ""
    step_names: Mapping[str, str] = field(default_factory=dict)
    order_text: Callable[[Sequence[str]], Any] = list
    texts: str = ""
    greedy: Mapping[str, Any] = field(default_factory=lambda: {"temperature": 0})
    limits: Mapping[str, str] = field(default_factory=dict)
    within: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    stated: Mapping[str, Any] = field(default_factory=dict)
    spelled: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    inert: frozenset[str] = frozenset()
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    gone: Mapping[str, Any] = field(default_factory=dict)

    def has(self, strategy: str) -> bool:
        return any(known == strategy for known, _ in self.names)


def settled(recipe: Recipe) -> list[tuple[int, RecipeStep]]:
    """The steps that decide anything, each with its place in the recipe.

    Where the likeliest token is taken, what only sharpens the scores decides nothing, nor what only
    removes less likely ones.
    """
    steps = [
        (at, step) for at, step in enumerate(recipe.steps[:-1]) if step.enabled and not step.neutral
    ]
    if takes_likeliest(recipe):
        steps = [(at, step) for at, step in steps if not _keeps_likeliest(step)]
    return steps


def _keeps_likeliest(step: RecipeStep) -> bool:
    """Whether the likeliest token is the likeliest after this step, too."""
    keeps_by = getattr(step.plugin, "keeps_by", None)
    return step.strategy in TEMPERATURES or keeps_by in ("rank", "mass", "probability")


def takes_likeliest(recipe: Recipe) -> bool:
    """Whether the likeliest token is always taken: greedily, or at temperature 0."""
    if recipe.search.strategy == "greedy":
        return True
    return recipe.search.strategy in ("sample", "speculative") and any(
        step.strategy == "temperature" and step.params.model_dump()["temperature"] == 0
        for step in recipe.processors
    )
