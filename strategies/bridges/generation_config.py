"""A model's own ``generation_config`` as a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..recipe import Recipe, RecipeError
from .generate_arguments import ARGUMENTS, FOREIGN, SEARCH

_SHAPED = frozenset(
    {
        "sequence_bias", "bad_words_ids", "watermarking_config", "exponential_decay_length_penalty",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Own:
    """A model's own way to write: its recipe, and in sentences what of it no recipe can say."""

    recipe: Recipe
    left_out: tuple[str, ...] = ()


def own_recipe(config: Any) -> Own:
    """What ``generate`` would do with this ``generation_config`` and no arguments, as a recipe."""
    given = {name: getattr(config, name, None) for name in (*SEARCH, *FOREIGN)}
    left_out = [
        f"{name}={given[name]!r} is left out."
        for name, none in FOREIGN.items()
        if given[name] not in (None, none)
    ]
    sampled = bool(given["do_sample"])
    steps: list[dict[str, Any]] = []
    for argument in ARGUMENTS:
        value = getattr(config, argument.name, None)
        value = argument.assumed if value is None else value
        if value == argument.neutral or (argument.sampled and not sampled):
            continue
        params = {argument.setting: value}
        if argument.name in _SHAPED:
            try:
                told = _shaped(argument.name, value)
            except (TypeError, ValueError, LookupError, AttributeError):
                told = None
            if told is None:
                left_out.append(f"{argument.name} is left out; set {argument.strategy} by hand.")
                continue
            params = told
        step = {"strategy": argument.strategy, "params": params}
        try:
            Recipe.from_steps([step, {"strategy": "greedy"}])
        except RecipeError as error:
            left_out.append(str(error).partition(": ")[2])
        else:
            steps.append(step)
    beams = given["num_beams"] or 1
    search = ("beam_sample" if sampled else "beam") if beams > 1 else "greedy"
    search = "sample" if sampled and beams == 1 else search
    params = {name: given[name] for name in ("num_beams", "length_penalty", "early_stopping")}
    wanted = {k: v for k, v in params.items() if v is not None} if beams > 1 else {}
    if search == "sample" and (given["num_return_sequences"] or 1) > 1:
        wanted["n"] = given["num_return_sequences"]
    try:
        recipe = Recipe.from_steps([*steps, {"strategy": search, "params": wanted}])
    except RecipeError as error:
        left_out.append(str(error).partition(": ")[2])
        recipe = Recipe.from_steps([*steps, {"strategy": "sample" if sampled else "greedy"}])
    return Own(recipe, tuple(left_out))


def _shaped(name: str, value: Any) -> dict[str, Any] | None:
    """The settings of a step that ``generate`` is told in another shape; None where it needs texts.

    Raises whatever comes of a value of another shape than ``generate`` takes.
    """
    if name == "exponential_decay_length_penalty":
        return dict(zip(("start", "factor"), value, strict=True))
    if name == "watermarking_config":
        given = value if isinstance(value, dict) else value.to_dict()
        known = {key: given[key] for key in ("greenlist_ratio", "bias", "hashing_key")}
        usual = given.get("seeding_scheme", "lefthash"), given.get("context_width", 1)
        return known if usual == ("lefthash", 1) else None
    if name == "sequence_bias":
        pairs = value.items() if isinstance(value, dict) else value
        if all(len(sequence) == 1 for sequence, _ in pairs):
            return {"bias": {str(sequence[0]): bias for sequence, bias in pairs}}
    return None
