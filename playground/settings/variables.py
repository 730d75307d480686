"""How settings and environment variables are named after each other; what is said of a bad one."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping

from pydantic import AliasChoices, BaseModel, ValidationError

PREFIX = "PLAYGROUND_"

# Where pydantic's own words would puzzle a person who only set a variable.
_EXPECTED = {
    "bool_parsing": "true or false",
    "int_parsing": "a whole number",
    "float_parsing": "a number",
    "string_too_short": "more than blanks",
    "byte_size": "a size such as 500MB or 2GB",
    "byte_size_unit": "a size such as 500MB or 2GB",
}


class SettingsError(ValueError):
    """A setting has no meaning; the message is one sentence that names it."""


def also(field: str, name: str) -> AliasChoices:
    """Read a field from its own variable, else from the name another program gave it."""
    return AliasChoices(PREFIX + field.upper(), name)


def variables(field: str, settings: type[BaseModel]) -> tuple[str, ...]:
    """The environment variables a field is read from, the first that is set winning."""
    alias = settings.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices)
    return (alias,) if isinstance(alias, str) else (PREFIX + field.upper(),)


def refuse_misspelt(environment: Mapping[str, str], settings: type[BaseModel]) -> None:
    """Raise ``SettingsError`` where a variable is nearly, but not quite, one of ours."""
    known = {name for field in settings.model_fields for name in variables(field, settings)}
    for name in environment:
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
            if near:
                raise SettingsError(f"{name} is not a setting; did you mean {near[0]}?")


def sentence(
    error: ValidationError, settings: type[BaseModel], given: Mapping[str, str] | None = None
) -> str:
    """What is wrong with the first bad setting, by its name in ``given`` or by its variable."""
    first = error.errors()[0]
    place = str(first["loc"][0])
    read = ((field, variables(field, settings)) for field in settings.model_fields)
    field, names = next(
        ((field, names) for field, names in read if place in (field, *names)), (place, (place,))
    )
    name = next((n for n in names if os.environ.get(n)), names[0])
    name = (given or {}).get(field, name)
    expected = _EXPECTED.get(first["type"]) or re.sub(
        "^(Value error, |Input should be )", "", first["msg"]
    )
    return f"{name} is {first['input']!r}, but it should be {expected}."
