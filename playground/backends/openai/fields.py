"""A recipe as the sampling fields of another program's request, where it can be one.

What each program means by a field, and in which order it applies its steps, is as
``strategies.bridges.dialects`` reads those same fields; a test holds both together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from playground.engine import FieldError
from strategies.recipe import Recipe, RecipeStep
from strategies.registry import registry

_PENALTIES = ("repetition_penalty", "frequency_penalty", "presence_penalty")


@dataclass(frozen=True)
class Program:
    """What a server can be asked for: the fields of each step, and the order in which they apply.

    ``neutral`` are fields that switch its own defaults off. ``given`` are settings of a step that
    have one value there. With ``ordered`` a request may name the order itself.
    """

    title: str
    steps: Mapping[str, Mapping[str, str]]  # by strategy: the field of each setting
    neutral: Mapping[str, Any]
    given: Mapping[str, Mapping[str, Any]]
    ordered: Mapping[str, str] | None = None  # by strategy: its name in the order
    whole_recipe: bool = False  # it reads our recipes as they are


_OPENAI = {
    "frequency_penalty": {"penalty": "frequency_penalty"},
    "presence_penalty": {"penalty": "presence_penalty"},
    "temperature": {"temperature": "temperature"},
    "top_p": {"top_p": "top_p"},
}
_WRITTEN = {"prompt": False, "window": 0}  # what was written counts, all of it
_COUNTED = {"frequency_penalty": _WRITTEN, "presence_penalty": _WRITTEN}
_ALL = {"prompt": True, "window": 0}

PROGRAMS: dict[str, Program] = {
    "decoding-playground": Program("A decoding playground", {}, {}, {}, whole_recipe=True),
    "vllm": Program(
        "vLLM",
        {
            "repetition_penalty": {"penalty": "repetition_penalty"},
            **{name: _OPENAI[name] for name in ("frequency_penalty", "presence_penalty")},
            "temperature": _OPENAI["temperature"],
            "min_p": {"min_p": "min_p"},
            "top_k": {"top_k": "top_k"},
            "top_p": _OPENAI["top_p"],
        },
        {
            "temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0,
            "frequency_penalty": 0.0, "presence_penalty": 0.0,
        },
        {**_COUNTED, "repetition_penalty": _ALL},
    ),
    "llamacpp": Program(
        "llama.cpp",
        {
            "repetition_penalty": {"penalty": "repeat_penalty"},
            **{name: _OPENAI[name] for name in ("frequency_penalty", "presence_penalty")},
            "top_n_sigma": {"n": "top_n_sigma"},
            "top_k": {"top_k": "top_k"},
            "typical_p": {"typical_p": "typical_p"},
            "top_p": _OPENAI["top_p"],
            "min_p": {"min_p": "min_p"},
            "xtc": {"threshold": "xtc_threshold", "probability": "xtc_probability"},
            "temperature": _OPENAI["temperature"],
        },
        {"repeat_last_n": -1},
        dict.fromkeys(_PENALTIES, _ALL),
        ordered={
            **dict.fromkeys(_PENALTIES, "penalties"), "top_n_sigma": "top_n_sigma",
            "top_k": "top_k", "typical_p": "typ_p", "top_p": "top_p", "min_p": "min_p",
            "xtc": "xtc", "temperature": "temperature",
        },
    ),
    "me": Program(  # which is how it names itself
        "llama-cpp-python",
        {
            "top_k": {"top_k": "top_k"},
            "top_p": _OPENAI["top_p"],
            "min_p": {"min_p": "min_p"},
            "temperature": _OPENAI["temperature"],
        },
        {
            "temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0,
            "frequency_penalty": 0.0, "presence_penalty": 0.0,
        },
        {},
    ),
    "": Program(
        "This server",
        _OPENAI,
        {"temperature": 1.0, "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0},
        _COUNTED,
    ),
}  # fmt: skip


def refused(program: Program) -> dict[str, str]:
    """The strategies that a program cannot be asked for, each with the reason."""
    known = {"greedy", "sample", *program.steps}
    found = {}
    for id, plugin in registry().strategies.items():
        if getattr(plugin, "asks", False):
            found[id] = f"{program.title} is another server, which cannot ask you for each token."
        elif not program.whole_recipe and id not in known:
            what = "search" if plugin.kind == "search" else "step"
            found[id] = f"{program.title} has no such {what}; it serves the models here."
    return found


def fields(program: Program, recipe: Recipe, place: int) -> dict[str, Any]:
    """The fields that ask a program for a recipe; ``FieldError`` says what it has no way to do.

    ``place`` is the recipe's among those of its request.
    """
    reasons = refused(program)
    steps = [step for step in recipe.steps[:-1] if step.enabled and not step.neutral]
    for at, step in enumerate(recipe.steps):
        if step.strategy in reasons and (step in steps or at == len(recipe.steps) - 1):
            raise _cannot(place, at, step, reasons[step.strategy])
    if program.whole_recipe:
        return {"recipe": str(recipe)}
    made = dict(program.neutral)
    order = list(program.steps)
    before: RecipeStep | None = None
    for at, step in enumerate(recipe.steps[:-1]):
        if step not in steps:
            continue
        settings = step.params.model_dump()
        for name, value in program.given.get(step.strategy, {}).items():
            if settings[name] != value:
                raise _cannot(place, at, step, f"{program.title} has its {name} at {value}.")
        own = program.steps[step.strategy]
        taken = before is not None and before.strategy == step.strategy
        late = before is not None and order.index(before.strategy) > order.index(step.strategy)
        if before is not None and (taken or (late and program.ordered is None)):
            told = f"{program.title} applies {step.strategy} before {before.strategy}."
            raise _cannot(place, at, step, f"{program.title} has it once." if taken else told)
        made |= {field: settings[name] for name, field in own.items()}
        before = step
    if program.ordered is not None:
        names = [program.ordered[step.strategy] for step in steps]
        made["samplers"] = list(dict.fromkeys(names))
        made |= {"temperature": made.get("temperature", 1.0)}
    if recipe.search.strategy == "greedy":
        made["temperature"] = 0.0
        if program.ordered is not None and "temperature" not in made["samplers"]:
            made["samplers"] += ["temperature"]
    return made


def texts(recipe: Recipe) -> int:
    """How many texts a recipe writes, as its search says."""
    return int(getattr(recipe.search.params, "n", 1))


def _cannot(place: int, at: int, step: RecipeStep, reason: str) -> FieldError:
    return FieldError(f"recipes.{place}", f"Step {at + 1} ({step.strategy}): {reason}")
