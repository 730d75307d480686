"""In what the recipe that a program runs differs from the one that was written for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...notation import quote, shorten
from ...recipe import Recipe
from .format import Loss
from .vocabulary import settled

# Steps that may change places without a difference: each takes an amount of its own off a score.
_COMMUTING = frozenset({"frequency_penalty", "presence_penalty"})


def differences(
    recipe: Recipe, there: Recipe, program: str, told: Sequence[Loss]
) -> Iterator[Loss]:
    """In what the recipe that a program runs is another one, beside what it has no field for."""
    theirs = {s.strategy: s for _, s in settled(there)}
    lost = {loss.step for loss in told}
    seen: set[str] = set()
    for at, step in settled(recipe):
        other = theirs.get(step.strategy)
        if step.strategy in seen or (other is None and at in lost):
            continue
        seen.add(step.strategy)
        if other is None:
            yield Loss(f"{program} leaves it out beside the others.", at, step.strategy)
            continue
        if step.strategy == "logit_bias":  # its texts are token ids there
            continue
        here = step.params.model_dump()
        for setting, value in other.params.model_dump().items():
            if not _alike(value, here[setting]):
                one, two = shorten(quote(value), 40), shorten(quote(here[setting]), 40)
                name = "it" if setting == step.strategy else setting
                reason = f"{name} is {one} in {program}, and {two} here."
                yield Loss(reason, at, step.strategy, setting)
    for name, step in theirs.items():
        if name not in seen:
            yield Loss(f"{program} applies {step} besides.")
    order = strategies(there)
    wanted = [name for name in order_of(recipe, there)]
    common = [name for name in order if name in wanted]
    if _apart(common) != _apart(wanted):
        yield Loss(f"{program} applies them in this order: {', '.join(common)}.")


def strategies(recipe: Recipe) -> list[str]:
    return [step.strategy for _, step in settled(recipe)]


def order_of(recipe: Recipe, there: Recipe) -> list[str]:
    """The steps of ``there`` in the order in which ``recipe`` has them."""
    known = strategies(there)
    return [s for s in dict.fromkeys(strategies(recipe)) if s in known]


def _apart(order: Sequence[str]) -> list[str]:
    """An order in which neighbours that may change places stand by name."""
    known = list(order)
    for at in range(len(known) - 1):
        if {known[at], known[at + 1]} == _COMMUTING:
            known[at : at + 2] = sorted(known[at : at + 2])
    return known


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, int | float):
        return abs(one - other) <= 1e-6 * max(1.0, abs(one), abs(other))
    return bool(one == other)
