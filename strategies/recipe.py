"""Recipes: processors in order and one search at the end; parsed, written, validated, built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from .base import Context, Params, Processor, Search, Strategy
from .notation import LONGEST, RecipeError, longer, quote, read, shorten, write
from .params import make
from .registry import registry

__all__ = ["Recipe", "RecipeError", "RecipeStep"]

MOST_STEPS = 32
MOST_TEXTS = 500  # in one recipe; each is encoded several times for every lane


@dataclass(frozen=True)
class RecipeStep:
    """One strategy with its settings; a step that is not ``enabled`` is kept but not run."""

    strategy: str
    params: Params
    enabled: bool = True

    @property
    def plugin(self) -> type[Strategy]:
        return registry().get(self.strategy)

    @property
    def neutral(self) -> bool:
        """Whether these settings change nothing."""
        return self.plugin.is_neutral(self.params)

    def __str__(self) -> str:
        changed = {
            name: getattr(self.params, name)
            for name, field in type(self.params).model_fields.items()
            if getattr(self.params, name) != field.get_default(call_default_factory=True)
        }
        first = next(iter(type(self.params).model_fields), "")
        values = (changed.pop(first),) if first in changed else ()
        return write(self.strategy, values, changed, self.enabled)


@dataclass(frozen=True)
class Recipe:
    """The strategies of one lane. Always valid: making an invalid one raises ``RecipeError``.

    As a pydantic field it accepts the written form or ``{"steps": [...]}`` and is serialised as the
    written form.
    """

    steps: tuple[RecipeStep, ...]

    def __post_init__(self) -> None:
        steps, known = self.steps, registry().strategies
        if len(steps) > MOST_STEPS:
            raise RecipeError(f"A recipe has at most {MOST_STEPS} steps, but has {len(steps)}.")
        values = [value for step in steps for value in vars(step.params).values()]
        lists = [value for value in values if isinstance(value, tuple | Mapping)]
        texts = sum(isinstance(one, str) for value in lists for one in value)
        if texts > MOST_TEXTS:
            raise RecipeError(f"A recipe lists at most {MOST_TEXTS} texts, but has {texts:,}.")
        searches = [i for i, step in enumerate(steps) if step.plugin.kind == "search"]
        if not searches:
            names = [name for name, strategy in known.items() if strategy.kind == "search"]
            what = "has no search" if steps else "is empty"
            raise RecipeError(f"The recipe {what}; end it with one of {', '.join(names)}.")
        first, *others = searches
        if others:
            raise RecipeError.at(
                others[0],
                steps[others[0]].strategy,
                f"the search is already step {first + 1}, remove one.",
            )
        if first != len(steps) - 1:
            raise RecipeError.at(
                first, steps[first].strategy, "the search comes last, move it to the end."
            )
        if not steps[first].enabled:
            raise RecipeError.at(first, steps[first].strategy, "the search cannot be switched off.")

    @classmethod
    def parse(cls, text: str) -> Recipe:
        """A recipe from its written form; the first value of a step may stand without its name."""
        return cls(
            tuple(
                _step(i, call.strategy, call.named, call.enabled, call.values)
                for i, call in enumerate(read(text))
            )
        )

    @classmethod
    def from_steps(cls, steps: Iterable[Any]) -> Recipe:
        """A recipe from ``[{"strategy": …, "params": {…}, "enabled": true}, …]``."""
        if isinstance(steps, str | Mapping) or not isinstance(steps, Iterable):
            raise RecipeError(f"steps must be a list, but {shorten(quote(steps))} was given.")
        steps = list(steps)
        if len(steps) > MOST_STEPS:
            raise RecipeError(f"A recipe has at most {MOST_STEPS} steps, but has {len(steps)}.")
        if longer(steps, LONGEST):
            raise RecipeError(f"A recipe has at most {LONGEST:,} characters; shorten its texts.")
        return cls(tuple(_from_mapping(i, step) for i, step in enumerate(steps)))

    @classmethod
    def of(cls, value: Any) -> Recipe:
        """A recipe from any of its forms: itself, written, or ``{"steps": [...]}``."""
        if isinstance(value, Recipe):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        if isinstance(value, Mapping) and set(value) == {"steps"}:
            return cls.from_steps(value["steps"])
        raise RecipeError(
            'A recipe is a text such as "top_p(0.9) | sample" or {"steps": [...]}, but '
            f"{shorten(quote(value))} was given."
        )

    def __str__(self) -> str:
        return " | ".join(map(str, self.steps))

    def to_steps(self) -> list[dict[str, Any]]:
        """The JSON form, every setting included."""
        return [
            {
                "strategy": step.strategy,
                "params": step.params.model_dump(mode="json"),
                "enabled": step.enabled,
            }
            for step in self.steps
        ]

    @property
    def processors(self) -> tuple[RecipeStep, ...]:
        """The processors that run, in order."""
        return tuple(step for step in self.steps[:-1] if step.enabled)

    @property
    def search(self) -> RecipeStep:
        return self.steps[-1]

    def at_least(self, count: int) -> Recipe:
        """This recipe after a first step that allows no end of sequence before ``count`` tokens."""
        if count == 0:
            return self
        return Recipe((_step(0, "min_new_tokens", {"count": count}), *self.steps))

    def build(self, context: Context) -> tuple[list[Processor], Search]:
        """Instances of the enabled strategies for one lane; ``RecipeError`` where one refuses."""
        numbers = [i for i, step in enumerate(self.steps) if step.enabled]
        chain: list[Strategy] = []
        for i in numbers:
            try:
                chain.append(self.steps[i].plugin(self.steps[i].params, context))
            except ValueError as error:
                raise RecipeError.at(i, self.steps[i].strategy, str(error)) from error
        for i, strategy in zip(numbers, chain, strict=True):
            try:
                strategy.refuse(chain)
            except ValueError as error:
                raise RecipeError.at(i, self.steps[i].strategy, str(error)) from error
            if (
                isinstance(strategy, Processor)
                and strategy.goes_back
                and not _follows(type(chain[-1]))
            ):
                able = [name for name, kind in registry().strategies.items() if _follows(kind)]
                raise RecipeError.at(
                    i,
                    self.steps[i].strategy,
                    "it takes tokens back, which only a search that chooses every token by itself "
                    f"can follow: {', '.join(able)}.",
                )
        return cast(list[Processor], chain[:-1]), cast(Search, chain[-1])

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.of, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        step = {
            "type": "object",
            "properties": {
                "strategy": {"type": "string"},
                "params": {"type": "object"},
                "enabled": {"type": "boolean", "default": True},
            },
            "required": ["strategy"],
            "additionalProperties": False,
        }
        steps = {
            "type": "object",
            "properties": {"steps": {"type": "array", "items": step, "maxItems": MOST_STEPS}},
            "required": ["steps"],
            "additionalProperties": False,
        }
        return {
            "anyOf": [{"type": "string", "examples": ["top_p(0.9) | sample"]}, steps],
            "description": "A recipe: its written form, or its steps.",
        }


def _follows(kind: type[Strategy]) -> bool:
    """Whether each row of this search stands by itself, so that one may go back alone."""
    return (
        issubclass(kind, Search)
        and kind.chooses in ("likeliest", "draw")
        and not (kind.asks or kind.needs_hidden or kind.rewinds)
    )


def _step(
    at: int,
    strategy: str,
    named: Mapping[str, Any],
    enabled: bool = True,
    values: Sequence[Any] = (),
) -> RecipeStep:
    """A validated step; of ``values``, which have no names, there may be one at most."""
    try:
        plugin = registry().get(strategy)
    except RecipeError as error:
        raise RecipeError(f"Step {at + 1}: {error}", at) from None
    fields = list(plugin.Params.model_fields)
    if len(values) > min(1, len(fields)):
        rule = f"only {fields[0]} may stand without its name" if fields else "it takes no values"
        raise RecipeError.at(at, strategy, f"{rule}.")
    if values and fields[0] in named:
        raise RecipeError.at(at, strategy, f"{fields[0]} is given twice.", fields[0])
    given = {**dict(zip(fields, values, strict=False)), **named}
    return RecipeStep(strategy, make(plugin, given, at), enabled)


def _from_mapping(at: int, step: Any) -> RecipeStep:
    kinds = {"strategy": str, "params": Mapping, "enabled": bool}
    if not isinstance(step, Mapping) or not {"strategy"} <= set(step) <= set(kinds):
        raise RecipeError.at(
            at,
            "",
            'it must look like {"strategy": "top_p", "params": {"top_p": 0.9}}, with "enabled" if '
            f"wanted, but {shorten(quote(step))} was given.",
        )
    for name, value in step.items():
        if not isinstance(value, kinds[name]):
            what = {"strategy": "a text", "params": "an object", "enabled": "True or False"}[name]
            raise RecipeError.at(
                at, "", f"{name} must be {what}, but {shorten(quote(value))} was given.", name
            )
    params = {str(name): value for name, value in step.get("params", {}).items()}
    return _step(at, step["strategy"], params, step.get("enabled", True))
