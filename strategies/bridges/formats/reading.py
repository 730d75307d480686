"""The recipe of a program's sampling fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...recipe import Recipe
from ..dialects import OTHERS, SETTINGS
from ..field_kinds import SettingError
from ..sampling_fields import recipe as recipe_of
from .format import Bounds, Brought
from .vocabulary import Vocabulary

# Fields that no recipe has: how long a text may be, where it ends, and the seed.
_LIMITS = {
    "max_new_tokens": (
        "max_tokens", "max_completion_tokens", "max_new_tokens", "n_predict", "num_predict",
    ),
    "min_new_tokens": ("min_tokens", "min_new_tokens", "min_length"),
    "seed": ("seed",),
    "stop": ("stop", "stop_strings", "stopping_strings", "custom_stopping_strings"),
}  # fmt: skip
_TEXTS = ("n", "num_return_sequences")


def from_fields(
    format: str,
    sent: Mapping[str, Any],
    words: Vocabulary,
    own: Mapping[str, Any] | None = None,
    left_out: Sequence[str] = (),
) -> Brought:
    """The recipe of fields. A field that no recipe can be made of is left out, and said to be.

    ``left_out`` are sentences about what was left out before.
    """
    fields = {name: value for name, value in sent.items() if value is not None}
    limits: dict[str, Any] = {}
    for limit, names in _LIMITS.items():
        given = [fields.pop(name) for name in names if name in fields]
        if given:
            limits[limit] = given[0]
    texts = next((fields.pop(name) for name in _TEXTS if name in fields), 1)
    known = SETTINGS.keys() | OTHERS | words.inert
    told = [
        f"{name} is left out: {words.program} no longer has it."
        for name, off in words.gone.items()
        if name in fields and fields[name] != off
    ]
    fields = {name: value for name, value in fields.items() if name not in words.gone}
    told += [
        f"{name} is left out: there is no such setting here."
        for name in fields
        if name not in known
    ]
    while True:
        try:
            made = recipe_of(fields, words.dialect, own)
            break
        except SettingError as error:
            if error.field not in fields:
                raise
            del fields[error.field]
            told.append(f"{error.field} is left out: {_told(error)}")
    made = _with_texts(made, texts)
    least = limits.pop("min_new_tokens", 0)
    if isinstance(least, int) and 0 < least <= 10_000:
        made = made.at_least(least)
    return Brought(format, made, (*left_out, *told), _bounds(limits))


def _with_texts(recipe: Recipe, texts: Any) -> Recipe:
    if not isinstance(texts, int) or texts < 2 or recipe.search.strategy != "sample":
        return recipe
    steps = recipe.to_steps()
    steps[-1]["params"]["n"] = texts
    return Recipe.from_steps(steps)


def _bounds(limits: Mapping[str, Any]) -> Bounds:
    def whole(name: str) -> int | None:
        value = limits.get(name)
        usable = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        return value if usable else None

    stop = limits.get("stop", ())
    texts = [stop] if isinstance(stop, str) else stop if isinstance(stop, list | tuple) else []
    return Bounds(
        max_new_tokens=whole("max_new_tokens"),
        seed=whole("seed"),
        stop=tuple(text for text in texts if isinstance(text, str) and text),
    )


def _told(error: SettingError) -> str:
    sentence = str(error)
    return sentence.removeprefix(f"{error.field}: ")
