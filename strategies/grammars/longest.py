"""How long the JSON that a schema describes can be.

An upper bound, and infinity where the schema sets none or says more than is looked at here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

_NOTES = {"title", "description", "default", "examples", "deprecated", "$schema", "$id", "$comment"}
_COMBINED = {"$ref", "anyOf", "oneOf", "allOf"}
_ESCAPED = 6  # bytes of a character that is written as \u and four digits
_DEEPEST = 50  # values in each other, and references
_MOST = 10_000  # schemas that are looked at, those of references each time


def longest(schema: Any, whitespace: int) -> float:
    """Bytes of the longest JSON that is valid for a ``schema`` read from its text.

    ``whitespace`` characters at the most stand between two parts.
    """
    try:
        return _Reader(schema, whitespace).of(schema)
    except (TypeError, ValueError, AttributeError, ArithmeticError):
        return math.inf  # it is no schema, which whoever compiles it tells


class _Reader:
    def __init__(self, root: Any, whitespace: int) -> None:
        self._root, self._blank = root, whitespace
        self._read, self._depth = 0, 0

    def of(self, schema: Any) -> float:
        self._read += 1
        self._depth += 1
        try:
            bounded = self._depth <= _DEEPEST and self._read <= _MOST
            return self._of(schema) if bounded else math.inf
        finally:
            self._depth -= 1

    def _of(self, schema: Any) -> float:
        if schema is False:
            return 0
        if not isinstance(schema, dict):
            return math.inf
        keywords = schema.keys() - _NOTES - {"$defs", "definitions"}
        if keywords == {"$ref"}:
            return self.of(self._named(str(schema["$ref"])))
        if keywords in ({"anyOf"}, {"oneOf"}):
            (choices,) = (schema[key] for key in keywords)
            return max(map(self.of, choices), default=0)
        if keywords & _COMBINED:
            return math.inf
        if "const" in schema:
            return self._value(schema["const"])
        if "enum" in schema:
            return max(map(self._value, schema["enum"]), default=0)
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        return max((self._kind(kind, schema) for kind in kinds), default=math.inf)

    def _named(self, pointer: str) -> Any:
        """What a reference points to in the whole schema; None where it is not found."""
        found = self._root
        for part in pointer.removeprefix("#").split("/")[1:]:
            found = found.get(part) if isinstance(found, dict) else None
        return found if pointer.startswith("#") else None

    def _kind(self, kind: Any, schema: Mapping[str, Any]) -> float:
        match kind:
            case "null":
                return 4
            case "boolean":
                return 5
            case "string":
                return 2 + _ESCAPED * float(schema.get("maxLength", math.inf))
            case "integer":
                low = [schema[end] for end in ("minimum", "exclusiveMinimum") if end in schema]
                high = [schema[end] for end in ("maximum", "exclusiveMaximum") if end in schema]
                return max(map(_digits, low + high)) if low and high else math.inf
            case "array":
                return self._array(schema)
            case "object" if schema.get("additionalProperties") is False:
                if "patternProperties" not in schema:
                    known = schema.get("properties", {})
                    return self._members((name, self.of(value)) for name, value in known.items())
        return math.inf

    def _array(self, schema: Mapping[str, Any]) -> float:
        first, rest = schema.get("prefixItems", []), schema.get("items", True)
        most = float(len(first) if rest is False else math.inf)
        most = min(most, schema.get("maxItems", math.inf))
        if most == math.inf:
            return math.inf
        items = [self.of(each) for each in first[: int(most)]]
        if len(items) < most:
            items.append((most - len(items)) * self.of(rest))
        return self._list(items, most)

    def _value(self, value: Any) -> float:
        """Bytes of a value that is given."""
        self._depth += 1
        try:
            if self._depth > _DEEPEST:
                return math.inf
            if isinstance(value, dict):
                return self._members((name, self._value(each)) for name, each in value.items())
            if isinstance(value, list):
                return self._list([self._value(each) for each in value], len(value))
        finally:
            self._depth -= 1
        if isinstance(value, str):
            return _text(value)
        return len(f"{Decimal(repr(value)):f}" if type(value) is float else json.dumps(value))

    def _list(self, items: Iterable[float], count: float) -> float:
        commas = max(0, count - 1)
        return 2 + sum(items) + commas + self._blank * max(1, 2 * count)

    def _members(self, members: Iterable[tuple[str, float]]) -> float:
        sizes = [_text(name) + 1 + size for name, size in members]
        return self._list(sizes, len(sizes)) + 2 * len(sizes) * self._blank


def _text(text: str) -> int:
    """Bytes of a text as JSON, each character at its longest."""
    return 2 + sum(
        2 if c in '"\\' else _ESCAPED if c < " " or c == "\x7f" else len(c.encode()) for c in text
    )


def _digits(end: float) -> int:
    return max(len(str(int(end))), 1 + (end < 0))  # "-0" is written, too
