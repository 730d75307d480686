"""A recipe as the sampling fields of a request to another program, where it can be written so.

What each program has a field for, what the field means and in which order the program applies its
steps is in ``strategies.bridges.formats``, by which people export their settings to it. A recipe is
sent only where nothing of it is lost in that translation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from playground.engine import FieldError
from strategies.bridges.dialects import DIALECTS
from strategies.bridges.formats import llama_cpp, openai, vllm
from strategies.bridges.formats.format import Bounds, Loss
from strategies.bridges.formats.vocabulary import Vocabulary, settled
from strategies.bridges.formats.writing import NO_MODEL, to_fields
from strategies.recipe import Recipe
from strategies.registry import registry


@dataclass(frozen=True)
class Program:
    """What a server accepts: the fields of ``words``, or without them recipes as they are.

    ``cannot`` is, for strategies that the program has and that still cannot be requested, the
    reason. With ``one_by_one`` a request ends the one before it, so that each has to wait.
    """

    title: str
    words: Vocabulary | None = None
    cannot: Mapping[str, str] = field(default_factory=dict)
    one_by_one: bool = False


_OFF = {"frequency_penalty": 0.0, "presence_penalty": 0.0}
_OPENAI = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
_PYTHON = ("temperature", "top_k", "top_p", "min_p", "constrained")
_SET_AT_START = "How far back it looks is set as llama-cpp-python is started."

PROGRAMS: dict[str, Program] = {
    "decoding-playground": Program("A decoding playground"),
    "vllm": Program(
        "vLLM",
        replace(vllm.WORDS, stated={**vllm.WORDS.stated, **_OFF}),
        {"beam": "vLLM tells beams at their end alone; it serves the models here."},
    ),
    "llamacpp": Program("llama.cpp", replace(llama_cpp.WORDS, texts="n")),
    "me": Program(  # the owner that it gives in its list of models
        "llama-cpp-python",
        Vocabulary(
            "llama-cpp-python",
            DIALECTS["llama.cpp"],
            names={
                (strategy, setting): name
                for (strategy, setting), name in llama_cpp.NAMES.items()
                if strategy in _PYTHON and name != "json_schema"
            },
            stated={"repeat_penalty": 1.0, **_OFF},
        ),
        dict.fromkeys(
            ("repetition_penalty", "frequency_penalty", "presence_penalty"), _SET_AT_START
        ),
        one_by_one=True,
    ),
    "": Program(
        "This server",
        Vocabulary(
            "This server",
            DIALECTS["openai"],
            names={key: name for key, name in openai.WORDS.names.items() if key[0] in _OPENAI},
            texts="n",
            stated={"temperature": 1.0, "top_p": 1.0, **_OFF},
        ),
    ),
}


def refused(program: Program) -> dict[str, str]:
    """The strategies that a program cannot run for us, each with the reason."""
    found = {}
    for id, plugin in registry().strategies.items():
        if getattr(plugin, "asks", False):
            found[id] = f"{program.title} is another server, which cannot ask you for each token."
        elif program.words is None or id in ("greedy", "sample"):
            continue
        elif id in program.cannot:
            found[id] = program.cannot[id]
        elif plugin.kind == "search" or not program.words.has(id):
            what = "search" if plugin.kind == "search" else "step"
            found[id] = f"{program.title} has no such {what}; it serves the models here."
    return found


def fields(program: Program, recipe: Recipe, number: int) -> dict[str, Any]:
    """The fields of a request for a recipe. Raises ``FieldError`` for what the program cannot do.

    ``number`` is the recipe's index among those of its request.
    """
    reasons = refused(program)
    for at, step in [*settled(recipe), (len(recipe.steps) - 1, recipe.search)]:
        if step.strategy in reasons:
            raise _lost(number, Loss(reasons[step.strategy], at, step.strategy))
    if program.words is None:
        return {"recipe": str(recipe)}
    written = to_fields(recipe, program.words, Bounds())
    if written.losses:
        raise _lost(number, written.losses[0])
    return _sent(program.words, written.fields, written.there)


def texts(recipe: Recipe) -> int:
    """How many texts a recipe generates, by the ``n`` of its search."""
    return int(getattr(recipe.search.params, "n", 1))


def _sent(words: Vocabulary, written: Mapping[str, Any], there: Recipe) -> dict[str, Any]:
    """Settings in the form of a request's body."""
    made = dict(written)
    if words.order and "mirostat" not in made:  # the order leaves out what the host switched on
        names = [words.step_names.get(step.strategy) for _, step in settled(there)]
        last = ["temperature"] if made.get("temperature") == 0 else []
        named = [name for name in names if name is not None]
        made.setdefault(words.order, list(dict.fromkeys([*named, *last])))
    if words.order and "logit_bias" in made:
        made["logit_bias"] = [[int(id), by] for id, by in made["logit_bias"].items()]
    structured = {
        vllm.STRUCTURED[name]: made.pop(name) for name in list(made) if name in vllm.STRUCTURED
    }
    return made | ({"structured_outputs": structured} if structured else {})


def _lost(number: int, loss: Loss) -> FieldError:
    reason = loss.reason
    if reason == NO_MODEL:
        reason = "the token ids of its texts are known to the server alone."
    step = "" if loss.step is None else f"Step {loss.step + 1} ({loss.strategy}): "
    return FieldError(f"recipes.{number}", f"{step}{reason}")
