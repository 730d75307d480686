"""What a field must be where it decides by itself, before any strategy's settings are checked."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from ..notation import RecipeError, quote, shorten
from .dialects import WINDOWS

_FLAGS = ("do_sample", "dynamic_temperature", "temperature_last")
_NUMBERS = (
    *WINDOWS, "adaptive_decay", "adaptive_target", "dynatemp_exponent", "dynatemp_high",
    "dynatemp_low", "dynatemp_range", "epsilon_cutoff", "eta_cutoff", "mirostat_eta",
    "mirostat_tau", "penalty_alpha",
)  # fmt: skip


class SettingError(RecipeError):
    """A field that no recipe can be made of: ``field`` is its name, as it was sent."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message, None, field)
        self.field: str = field


def check(given: Mapping[str, Any]) -> None:
    """Raise ``SettingError`` for a field of a wrong kind that would else decide unnoticed."""

    def must(name: str, fits: bool, kind: str) -> None:
        if not fits:
            told = f"{name} must be {kind}, but {shorten(quote(given[name]))} was given."
            raise SettingError(name, told)

    for name in given.keys() & _FLAGS:
        value = given[name]
        must(name, isinstance(value, bool | int) and value in (0, 1), "true or false")
    for name in given.keys() & _NUMBERS:
        value = given[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        must(name, number and abs(value) <= sys.float_info.max, "a finite number")
    if "structured_outputs" in given:
        must("structured_outputs", isinstance(given["structured_outputs"], Mapping), "an object")
