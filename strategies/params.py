"""Validates the settings of a strategy, and says in a sentence what is wrong with them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from .base import Params, Strategy
from .notation import RecipeError, half_character, quote, shorten


def make(plugin: type[Strategy], given: Mapping[str, Any], step: int) -> Params:
    """Validated settings; raises ``RecipeError`` naming the setting, what was given and allowed.

    Strict: neither True nor "5" is accepted as a number. A whole float is accepted for an integer
    and a list for a tuple, since JSON and sliders do not tell them apart, and one text for a list
    of texts.
    """
    schemas = schemas_of(plugin.Params)
    values = {name: _fitted(value, schemas.get(name, {})) for name, value in given.items()}
    _check_texts(plugin, values, step)
    try:
        return plugin.Params.model_validate(values, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][0]) if first["loc"] else None
        raise RecipeError.at(
            step, plugin.info.id, _sentence(schemas, field, first, values), field
        ) from None


def _fitted(value: Any, schema: Mapping[str, Any]) -> Any:
    kind = schema.get("type")
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind == "array" and isinstance(value, str) and schema["items"].get("type") == "string":
        return (value,)  # not a list of its letters
    return tuple(value) if kind == "array" and isinstance(value, list) else value


def _check_texts(plugin: type[Strategy], values: Mapping[str, Any], step: int) -> None:
    """Raise ``RecipeError`` for a lone surrogate in any text, those in lists and mappings too."""
    for name, value in values.items():
        left = [name, value]
        while left:
            one = left.pop()
            if isinstance(one, Mapping):
                left += [*one, *one.values()]
            elif isinstance(one, list | tuple):
                left += one
            elif isinstance(one, str) and (half := half_character(one)) is not None:
                what = name if name in plugin.Params.model_fields else "a setting's name"
                sentence = f"{what} has half a character in it ({half}), which is no text."
                raise RecipeError.at(step, plugin.info.id, sentence, what)


@lru_cache(maxsize=256)  # pydantic takes about a millisecond each time
def schemas_of(params: type[Params]) -> Mapping[str, Any]:
    """The JSON schema of each setting, by its name."""
    properties: Mapping[str, Any] = params.model_json_schema().get("properties", {})
    return properties


def _sentence(
    schemas: Mapping[str, Any], field: str | None, error: Any, given: Mapping[str, Any]
) -> str:
    if error["type"] == "extra_forbidden" and field is not None:
        near = difflib.get_close_matches(field[:100], schemas, n=1)
        has = f"it has {', '.join(schemas)}" if schemas else "it has none"
        guess = f", did you mean {near[0]}?" if near else f"; {has}."
        return f"there is no setting {shorten(field)}{guess}"
    if "error" in error.get("ctx", {}):  # raised by a plugin's own validator
        return f"{field}: {error['ctx']['error']}" if field else str(error["ctx"]["error"])
    if field is not None and field in schemas:
        return (
            f"{field} must be {allowed(schemas[field])}, but {shorten(quote(given.get(field)))} "
            "was given."
        )
    return str(error["msg"])


def allowed(schema: Mapping[str, Any]) -> str:
    """The allowed values of a setting in words, from its JSON schema: "a number from 0 to 1"."""
    if "anyOf" in schema:
        return " or ".join(allowed(choice) for choice in schema["anyOf"])
    choices = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if choices:
        *most, last = map(quote, choices)
        return f"{', '.join(most)} or {last}" if most else last
    if schema.get("type") in ("number", "integer"):
        return ("a whole number" if schema["type"] == "integer" else "a number") + _range(schema)
    if schema.get("type") == "array":
        size = f" of at most {schema['maxItems']}" if "maxItems" in schema else ""
        return f'a list{size}, such as ["a", "b"], each {allowed(schema["items"])}'
    if schema.get("type") == "object":
        each = allowed(schema["additionalProperties"])
        return f'texts with their values, such as {{"a": 1}}, each {each}'
    if schema.get("type") == "string" and "maxLength" in schema:
        return f"a text of at most {schema['maxLength']} characters"
    kinds = {"boolean": "True or False", "string": "a text", "null": "None"}
    return kinds.get(schema.get("type", ""), "another value")


def _range(schema: Mapping[str, Any]) -> str:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {low:g} to {high:,g}" if high < 1e6 else f" from {low:g} to {high:,}"
    parts = [
        f"{word} {bound:g}"
        for word, bound in (
            ("of at least", low),
            ("above", above),
            ("at most", high),
            ("below", below),
        )
        if bound is not None
    ]
    return f" {' and '.join(parts)}" if parts else ""
