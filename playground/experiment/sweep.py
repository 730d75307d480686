"""Many recipes from one: a sweep of parameters, as a grid or as a list."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from strategies import Recipe
from strategies.notation import RecipeError, quote, shorten

MOST_RECIPES = 200
_MOST_STEPS = 1000


class Span(BaseModel):
    """Numbers from one to another, both included: ``step`` apart, or ``many`` evenly spaced."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    start: float = Field(alias="from")
    stop: float = Field(alias="to")
    step: float | None = Field(None, gt=0)
    many: int | None = Field(None, ge=2, le=_MOST_STEPS)

    @model_validator(mode="after")
    def _one_way(self) -> Span:
        if (self.step is None) == (self.many is None):
            raise ValueError("give either step or many")
        if self.stop < self.start:
            raise ValueError("from is more than to")
        if self.step is not None and (self.stop - self.start) / self.step > _MOST_STEPS:
            raise ValueError(f"more than {_MOST_STEPS:,} steps")
        return self

    def values(self) -> list[float]:
        step, many = self.step, self.many
        if step is None:
            assert many is not None
            step = (self.stop - self.start) / (many - 1)
        else:
            many = math.floor((self.stop - self.start) / step + 1e-9) + 1
        return [float(f"{self.start + i * step:.12g}") for i in range(many)]


Values = Annotated[Span | list[Any], Field(union_mode="left_to_right")]


class Sweep(BaseModel):
    """A recipe whose parameters take these values: ``{"top_p.top_p": [0.8, 0.9]}``.

    A parameter is named by its strategy, a dot and its own name, which may be left out where it is
    the strategy's first. A grid combines every value with every other; a list takes the first of
    each, then the second of each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    recipe: Recipe
    values: dict[str, Values] = Field(min_length=1)
    kind: Literal["grid", "list"] = Field("grid", alias="as")

    @field_validator("values")
    @classmethod
    def _not_empty(cls, values: dict[str, Values]) -> dict[str, Values]:
        for name, given in values.items():
            if isinstance(given, list) and not given:
                raise ValueError(f"{name} has no value; give at least one")
        return values

    @model_validator(mode="after")
    def _all_can_be_made(self) -> Sweep:
        lists = [_listed(values) for values in self.values.values()]
        if self.kind == "list" and len({len(values) for values in lists}) > 1:
            counts = ", ".join(f"{name} {len(_listed(v))}" for name, v in self.values.items())
            raise ValueError(
                f"as a list, every setting needs as many values, but there are {counts}"
            )
        count = math.prod(map(len, lists)) if self.kind == "grid" else len(lists[0])
        if count > MOST_RECIPES:
            raise ValueError(f"{count:,} recipes; at most {MOST_RECIPES} are allowed")
        self.recipes()
        return self

    def recipes(self) -> list[Recipe]:
        """Every recipe of the sweep, the last parameter changing fastest.

        Raises ``RecipeError`` where a name or a value fits no step of the recipe.
        """
        targets = [self._target(name) for name in self.values]
        lists = [_listed(values) for values in self.values.values()]
        combined = itertools.product(*lists) if self.kind == "grid" else zip(*lists, strict=True)
        made = []
        for values in combined:
            steps = self.recipe.to_steps()
            for (step, field), value in zip(targets, values, strict=True):
                steps[step]["params"][field] = value
            made.append(Recipe.from_steps(steps))
        return made

    def _target(self, name: str) -> tuple[int, str]:
        """The index of the step that a parameter's name means, and the parameter's own name."""
        strategy, _, field = name.partition(".")
        found = [i for i, step in enumerate(self.recipe.steps) if step.strategy == strategy]
        if not found:
            has = ", ".join(step.strategy for step in self.recipe.steps)
            raise RecipeError(f"{shorten(quote(name))} names no step of the recipe; it has {has}.")
        if len(found) > 1:
            raise RecipeError(f"{shorten(quote(name))} may be either of {len(found)} steps.")
        fields = list(type(self.recipe.steps[found[0]].params).model_fields)
        field = field or next(iter(fields), "")
        if field not in fields:
            has = ", ".join(fields) or "none"
            raise RecipeError(f"{shorten(quote(name))} names no setting; {strategy} has {has}.")
        return found[0], field


def _listed(values: Span | list[Any] | Mapping[str, Any]) -> list[Any]:
    return values.values() if isinstance(values, Span) else list(values)
