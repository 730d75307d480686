"""Recipes as other programs have their settings, and back: one file a program.

``take(recipe, "vllm")`` is what to paste there, and ``bring(text)`` reads what was copied there.
What cannot be said is told with its reason, and never dropped in silence.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any

from ...base import Context
from ...notation import shorten
from ...recipe import Recipe
from .format import LONGEST, Bounds, Brought, Format, FormatError, Loss, Taken

__all__ = [
    "Bounds",
    "Brought",
    "Format",
    "FormatError",
    "Loss",
    "Taken",
    "bring",
    "formats",
    "take",
]


@cache
def formats() -> Mapping[str, Format]:
    """The formats by id, in the order of their titles: each module here that has ``formats``."""
    found: list[Format] = []
    for module in pkgutil.iter_modules(__path__):
        found += getattr(importlib.import_module(f"{__name__}.{module.name}"), "formats", ())
    return {one.id: one for one in sorted(found, key=lambda one: one.title.lower())}


def take(
    recipe: Recipe | str,
    format: str,
    bounds: Bounds | None = None,
    context: Context | None = None,
    own: Mapping[str, Any] | None = None,
) -> Taken:
    """A recipe as the program of this format has it, with what that cannot say.

    ``bounds`` are what the run has besides. ``context`` and ``own`` are of a loaded model: what
    strategies may know of it, and its ``generation_config``. ``FormatError`` where there is no
    such format, ``RecipeError`` where there is no such recipe.
    """
    return _known(format).write(Recipe.of(recipe), bounds or Bounds(), context, own)


def bring(text: str, format: str | None = None, own: Mapping[str, Any] | None = None) -> Brought:
    """The recipe of a text that another program has; None finds out which one.

    A recipe's own written form is read, too. ``FormatError`` says why there is none.
    """
    if len(text) > LONGEST:
        raise FormatError(
            f"It may have {LONGEST:,} characters at most, but {len(text):,} were given."
        )
    if format is not None:
        return _known(format).read(text, own)
    if not text.strip():
        raise FormatError("There is nothing in it; paste the settings of another program.")
    surely = {one.id: one.looks_like(text) for one in formats().values()}
    found = max(formats().values(), key=lambda one: surely[one.id])
    if not surely[found.id]:
        try:
            return Brought("recipe", Recipe.parse(text.strip()))
        except ValueError:
            names = ", ".join(sorted({one.program for one in formats().values()}, key=str.lower))
            raise FormatError(
                f"{shorten(text.strip(), 40)!r} is in no form that is read here: those of {names}."
            ) from None
    return found.read(text, own)


def _known(format: str) -> Format:
    known = formats()
    if format not in known:
        raise FormatError(
            f"format must be one of {', '.join(known)}, but {shorten(str(format), 40)!r} was given."
        )
    return known[format]
