"""Where in a recipe a new step belongs: in the order of transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from .base import Processor
from .notation import RecipeError
from .presets import PRESETS
from .recipe import Recipe
from .registry import Registry, registry

Steps = list[dict[str, Any]]


def insert(steps: Sequence[Mapping[str, Any]], id: str) -> tuple[Steps, int]:
    """These steps with a new one of strategy ``id``, at its defaults, and where it stands.

    A processor stands where ``order`` has it, but never behind a step that leaves one token, nor
    where the recipe would be refused while at the end of the processors it would not. A search
    takes the place of the one that is there.
    """
    given, known = [dict(step) for step in steps], registry().strategies
    new = {"strategy": id, "params": {}, "enabled": True}
    kinds = [getattr(known.get(step["strategy"]), "kind", None) for step in given]
    search = kinds.index("search") if "search" in kinds else len(given)
    if known[id].kind == "search":
        return [*given[:search], new, *given[search + 1 :]], search
    at = _belongs(given[:search], id)
    for place in (at, search):
        made = [*given[:place], new, *given[place:]]
        try:
            Recipe.from_steps(made)
        except RecipeError:
            continue
        return made, place
    return [*given[:at], new, *given[at:]], at


def order() -> tuple[str, ...]:
    """Processors from the first to the last: penalties and bans, temperature, truncations.

    The order of the presets that show one, the first before the second. A processor of neither
    stands after the one it names as ``beside``; one that ``leads`` stands first. Any other is not
    listed, and comes last.
    """
    return _order(registry())


@lru_cache(maxsize=4)
def _order(known: Registry) -> tuple[str, ...]:
    processors = {id: s for id, s in known.strategies.items() if issubclass(s, Processor)}
    beside = {id: processor.beside for id, processor in processors.items() if processor.beside}
    found: list[str] = []
    for preset in (preset for preset in PRESETS if preset.group == "orders"):
        before = None
        for step in preset.recipe.steps[:-1]:
            if step.strategy not in found and step.strategy not in beside:
                found.insert(found.index(before) + 1 if before else 0, step.strategy)
            before = step.strategy if step.strategy in found else before
    found[:0] = [id for id, processor in processors.items() if processor.leads]
    while fitting := [id for id in beside if id not in found and beside[id] in found]:
        for id in fitting:
            found.insert(found.index(beside[id]) + 1, id)
    return tuple(found)


def _belongs(processors: Sequence[Mapping[str, Any]], id: str) -> int:
    """Where a new processor goes: before the first that comes later, or that leaves one token."""
    for at, step in enumerate(processors):
        if _rank(step["strategy"]) > _rank(id) or _leaves_one(step):
            return at
    return len(processors)


def _rank(id: str) -> int:
    return order().index(id) if id in order() else len(order())


def _leaves_one(step: Mapping[str, Any]) -> bool:
    strategy = registry().strategies.get(step["strategy"])
    if strategy is None or not issubclass(strategy, Processor) or not step.get("enabled", True):
        return False
    try:
        return strategy.leaves_one(strategy.Params(**step["params"]))
    except ValidationError:
        return False
