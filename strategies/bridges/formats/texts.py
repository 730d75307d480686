"""Texts that settings are brought in: a call in Python, an object in JSON. Parsed, never run."""

from __future__ import annotations

import ast
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ...notation import shorten
from .format import FormatError


@dataclass(frozen=True)
class Call:
    """A call as it was typed: the last part of its name, and its arguments by name.

    ``unread`` are those whose value is not written out, as one that is computed.
    """

    name: str
    arguments: Mapping[str, Any]
    unread: tuple[str, ...] = ()

    def left_out(self, but: Collection[str] = ()) -> list[str]:
        """A sentence about each argument that was not read, except those in ``but``."""
        return [
            f"{name} is left out: its value is not written out; set it by hand."
            for name in self.unread
            if name not in but
        ]


def json_object(text: str) -> dict[str, Any]:
    """The object that a text in JSON is; ``FormatError`` where it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"It is no JSON: {shorten(str(error), 80)}.") from error
    if not isinstance(found, dict):
        raise FormatError("It must be an object in JSON, with a name for each setting.")
    return found


def is_json_object(text: str) -> bool:
    try:
        json_object(text)
    except FormatError:
        return False
    return True


def with_extra_body(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is sent, with what the client of OpenAI takes apart in ``extra_body``."""
    extra = given.get("extra_body")
    sent = {name: value for name, value in given.items() if name != "extra_body"}
    return sent | (dict(extra) if isinstance(extra, Mapping) else {})


def calls(text: str) -> list[Call]:
    """The calls of a program in Python, outer before inner; ``FormatError`` where it is none.

    An argument without a name is left out; a call among the arguments is a mapping of its own.
    """
    try:
        tree = ast.parse(text.strip(), "<settings>")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FormatError("It is no call in Python.") from error
    return [_call(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def _call(node: ast.Call) -> Call:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    name = node.func.id if isinstance(node.func, ast.Name) else name
    arguments: dict[str, Any] = {}
    unread: list[str] = []
    for keyword in node.keywords:
        try:
            value = _value(keyword.value)
        except (ValueError, TypeError, SyntaxError, RecursionError):
            unread += [keyword.arg] if keyword.arg is not None else []
            continue
        if keyword.arg is not None:
            arguments[keyword.arg] = value
        elif isinstance(value, Mapping):
            arguments |= {str(name): one for name, one in value.items()}
    return Call(name, arguments, tuple(unread))


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        made = _call(node)
        if not made.name[:1].isupper():  # a function, which would have to be run
            raise ValueError(f"{made.name} is called")
        return dict(made.arguments)
    return ast.literal_eval(node)
