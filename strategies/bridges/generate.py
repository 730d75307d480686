"""A recipe as the arguments of transformers' ``generate``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..base import Context
from ..notation import RecipeError
from ..recipe import Recipe, RecipeStep
from .generate_arguments import ARGUMENTS, FOREIGN, MOVED, POSITIONS, SEARCH, Argument

NO_MODEL = "its token ids depend on a model; none is given."


def arguments(
    recipe: Recipe | str, context: Context | None = None, own: Any = None
) -> dict[str, Any]:
    """What to give ``generate`` so that it does as this recipe does.

    Tokens are equal where nothing is drawn, else the distributions they are drawn from. ``context``
    is needed where a step names texts. ``own`` is the model's ``generation_config``: what it sets
    and the recipe does not is undone; without it, everything that has a step is written out.
    Raises ``RecipeError`` with what has no equivalent, or stands in another order.
    """
    recipe = Recipe.of(recipe)
    found, steps = _search(recipe)
    before = -1
    prompt: dict[str, Any] = {}
    for at, step in steps:
        reason = _reason(step, before, found)
        if reason is not None:
            raise RecipeError.at(at, step.strategy, reason)
        before = POSITIONS[step.strategy]
        found[ARGUMENTS[before].name] = _value(at, step, ARGUMENTS[before], context)
        if step.strategy == "guidance":
            prompt = _second_prompt(at, step, context, found)
    silent = {
        argument.name: argument.neutral
        for argument in ARGUMENTS
        if found["do_sample"] or not argument.sampled
    }
    found = {**SEARCH, **silent, **found}
    if own is None:
        beams = {"length_penalty", "early_stopping"} if found["num_beams"] == 1 else set()
        return {name: value for name, value in found.items() if name not in beams} | prompt
    assumed = {**SEARCH, **{a.name: a.assumed for a in ARGUMENTS}, **FOREIGN}
    for name in assumed:
        given = getattr(own, name, None)
        assumed[name] = assumed[name] if given is None else given
    undone = {
        name: none for name, none in FOREIGN.items() if name not in found and assumed[name] != none
    }
    return {
        name: value
        for name, value in {**found, **undone}.items()
        if name == "do_sample" or value != assumed[name]
    } | prompt


def python(given: Mapping[str, Any]) -> str:
    """A call of ``generate`` with these arguments, as it would be typed."""
    typed, imports = "", []
    for name, value in given.items():
        text = repr(value)
        if name == "negative_prompt_ids":
            text = f"torch.tensor({value.tolist()}, device=model.device)"
            imports.append("import torch\n")
        elif name == "watermarking_config" and value is not None:
            text = f"WatermarkingConfig(**{value.to_dict()})"
            imports.append("from transformers import WatermarkingConfig\n")
        typed += f", {name}={text}"
    imported = "".join(sorted(imports, reverse=True)) + "\n" if imports else ""
    return f"{imported}model.generate(**inputs{typed})"


def _search(recipe: Recipe) -> tuple[dict[str, Any], list[tuple[int, RecipeStep]]]:
    """The arguments that choose the search, and the steps that are left to translate.

    Raises ``RecipeError`` where it has no such search.
    """
    active = [
        (at, step) for at, step in enumerate(recipe.steps[:-1]) if step.enabled and not step.neutral
    ]
    step, at = recipe.search, len(recipe.steps) - 1
    settings = step.params.model_dump()
    if step.strategy == "greedy":
        return {"do_sample": False}, active
    if step.strategy == "sample":
        return {"do_sample": True, "num_return_sequences": settings["n"]}, active
    if step.strategy in ("beam", "beam_sample"):
        if settings["num_beams"] == 1:
            raise RecipeError.at(
                at, step.strategy, "generate does not search with one beam; use greedy or sample."
            )
        return {"do_sample": step.strategy == "beam_sample", **settings}, active
    if step.strategy == "speculative":
        if settings["draft"] == "model":
            raise RecipeError.at(
                at,
                step.strategy,
                "generate is given the draft model itself, assistant_model; set draft to lookup.",
            )
        # Here greedy is a draw at temperature 0, there it is no draw.
        last = active[-1][1] if active else step
        greedy = last.strategy == "temperature" and last.params.model_dump()["temperature"] == 0
        lookup = {
            "prompt_lookup_num_tokens": settings["tokens"],
            "max_matching_ngram_size": settings["ngram"],
        }
        return {"do_sample": not greedy, **lookup}, active[:-1] if greedy else active
    raise RecipeError.at(at, step.strategy, _absent(step.strategy))


def _absent(strategy: str) -> str:
    if strategy not in MOVED:
        return "no argument of generate is written for it."
    return (
        f'it left the core of transformers for custom_generate="{MOVED[strategy]}", and no '
        "argument is written for it."
    )


def _reason(step: RecipeStep, before: int, found: Mapping[str, Any]) -> str | None:
    """Why generate cannot apply this step after that of position ``before``, or None."""
    if step.strategy not in POSITIONS:
        return _absent(step.strategy)
    position, params = POSITIONS[step.strategy], step.params.model_dump()
    if ARGUMENTS[position].sampled and not found["do_sample"]:
        return "generate applies it only where it samples."
    if ARGUMENTS[position].sampled and "num_beams" in found and step.strategy != "temperature":
        return "generate keeps more tokens than this step, where it samples with beams."
    if before == position:
        return "generate applies it only once."
    if before > position:
        return f"generate applies it before {ARGUMENTS[before].strategy}; move it there."
    if step.strategy == "guidance" and "num_beams" in found:
        return "generate does not let its second prompt follow the beams."
    if step.strategy == "guidance" and "prompt_lookup_num_tokens" in found:
        return "generate does not take rejected tokens back from its second prompt."
    if step.strategy == "repetition_penalty" and not params["prompt"]:
        return "generate always counts the prompt; set prompt to True."
    if step.strategy == "repetition_penalty" and params["window"]:
        return "generate always looks at the whole text; set window to 0."
    if step.strategy == "temperature" and params["temperature"] == 0:
        return "generate wants a temperature above 0; use greedy."
    return None


def _second_prompt(
    at: int, step: RecipeStep, context: Context | None, found: Mapping[str, Any]
) -> dict[str, Any]:
    """The negative prompt of guidance, once for each text; nothing where it is generate's own."""
    text = step.params.model_dump()["negative_prompt"]
    if not text:
        return {}
    if context is None:
        raise RecipeError.at(at, step.strategy, NO_MODEL)
    ids = (context.encode_prompt or context.encode)(text)
    if not ids:
        return {}
    return {"negative_prompt_ids": torch.tensor([ids] * found.get("num_return_sequences", 1))}


def _value(at: int, step: RecipeStep, argument: Argument, context: Context | None) -> Any:
    if argument.strategy == "watermark":
        from transformers import WatermarkingConfig

        return WatermarkingConfig(**step.params.model_dump())
    if argument.strategy == "exponential_length":
        params = step.params.model_dump()
        return params["start"], params["factor"]
    if argument.strategy not in ("logit_bias", "bad_words"):
        return getattr(step.params, argument.setting)
    if context is None:
        raise RecipeError.at(at, step.strategy, NO_MODEL)
    processor: Any = step.plugin(step.params, context)
    if argument.strategy == "bad_words":
        return [list(sequence) for sequence in processor.sequences] or None
    sums: dict[tuple[int, ...], float] = {}
    for sequence, bias in processor.biases:
        sums[sequence] = sums.get(sequence, 0.0) + bias
    return [[list(sequence), bias] for sequence, bias in sums.items()] or None
