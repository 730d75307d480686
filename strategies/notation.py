"""The written form of a recipe: ``top_k(50) | ~top_p(0.9) | sample``. Parsed, never evaluated."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LONGEST = 20_000  # characters of a recipe
_JSON = {"true": True, "false": False, "null": None}  # as a schema pasted into a recipe has them
_ESCAPES = frozenset("\\'\"abfnrtvxNuU01234567")  # what may follow a backslash in quotes
_SOURCE = "<recipe>"  # the file name in Python's warnings while it parses a recipe

# Python parses ``1or 2`` and an unknown escape with a warning only; in a recipe both are errors.
warnings.filterwarnings("error", module=f"{_SOURCE}$")


class RecipeError(ValueError):
    """Why a recipe cannot run, in a sentence; ``step`` counts from 0, ``field`` is a parameter."""

    def __init__(self, message: str, step: int | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.step = step
        self.field = field

    @classmethod
    def at(cls, step: int, strategy: str, message: str, field: str | None = None) -> RecipeError:
        """An error of one step, whose sentence counts steps from 1."""
        name = f" ({strategy})" if strategy else ""
        return cls(f"Step {step + 1}{name}: {message}", step, field)


@dataclass(frozen=True)
class Call:
    """One parsed step: its values without a name, then those with one. ``~``: not enabled."""

    strategy: str
    values: tuple[Any, ...]
    named: Mapping[str, Any]
    enabled: bool


def read(text: str) -> list[Call]:
    """The steps of a written recipe; raises ``RecipeError`` where it is not one."""
    if len(text) > LONGEST:
        raise RecipeError(
            f"A recipe has at most {LONGEST:,} characters, but {len(text):,} were given."
        )
    if not text.strip():
        return []
    return [_call(piece.strip(), step) for step, piece in enumerate(_split(text))]


def write(strategy: str, values: tuple[Any, ...], named: Mapping[str, Any], enabled: bool) -> str:
    """The inverse of ``read`` for one step."""
    written = [quote(value) for value in values]
    written += [f"{name}={quote(value)}" for name, value in named.items()]
    return f"{'' if enabled else '~'}{strategy}{'(' + ', '.join(written) + ')' if written else ''}"


def quote(value: Any) -> str:
    """A value as it is written in a recipe; one that has no written form, as its ``repr``."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_quote, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_quote(k)}: {_quote(v)}' for k, v in value.items())}}}"
    return _quote(value)


def literal(text: str) -> Any:
    """The value that ``quote`` wrote, for a field of any type; other text is returned as it is."""
    try:
        return _literal(_expression(text.strip()), 0, "")
    except ValueError:
        return text


def half_character(text: str) -> str | None:
    """The first lone surrogate as it is written, such as ``\\ud83d``; None in a proper text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"\\u{ord(text[error.start]):04x}"
    return None


def unfindable(text: str) -> str | None:
    """Why no generated text can be searched for this one, as the end of a sentence; else None.

    A decoder writes U+FFFD for bytes that form no character, as where a limit cut one in two.
    """
    if "\ufffd" not in text:
        return None
    return (
        "has � (U+FFFD) in it, which stands for any bytes that are no character and cannot be "
        "looked for."
    )


def longer(value: Any, most: int) -> bool:
    """Whether a value's characters and members are more than ``most``; counts no further then."""
    size, rest = 0, [value]
    while rest and size <= most:
        one = rest.pop()
        if isinstance(one, Mapping):
            rest.extend([*one, *one.values()] if len(one) <= most else [])
        elif isinstance(one, list | tuple):
            rest.extend(one if len(one) <= most else [])
        size += len(one) if isinstance(one, str | list | tuple | Mapping) else 1
    return size > most


def _quote(value: Any) -> str:
    if isinstance(value, int) and abs(value) >= 10**100:
        return f"{'-' * (value < 0)}1e{int(value.bit_length() * 0.30103)} or so"
    if not isinstance(value, str):
        return repr(value)
    text = json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()


def shorten(text: str, width: int = 60) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _split(text: str) -> list[str]:
    """The text between bars, where these are not inside quotes."""
    pieces: list[str] = []
    start, quoted, at = 0, "", 0
    while at < len(text):
        mark = text[at]
        if quoted and mark == "\\":
            if text[at + 1 : at + 2] not in _ESCAPES:
                raise RecipeError.at(len(pieces), "", "write a backslash in quotes as \\\\.")
            at += 1
        elif quoted:
            quoted = "" if mark == quoted else quoted
        elif mark in "'\"":
            quoted = mark
        elif mark == "|":
            pieces.append(text[start:at])
            start = at + 1
        elif mark == "#":
            raise RecipeError.at(len(pieces), "", "# has no meaning in a recipe.")
        at += 1
    if quoted:
        raise RecipeError.at(len(pieces), "", f"a quoted text is not closed with {quoted}.")
    return [*pieces, text[start:]]


def _call(piece: str, step: int) -> Call:
    enabled = not piece.startswith("~")
    piece = piece.removeprefix("~").strip()
    if not piece:
        raise RecipeError.at(step, "", "it is empty; write a strategy, such as top_k(50).")
    try:
        node = _expression(piece)
    except ValueError:
        node = None
    call = node if isinstance(node, ast.Call) else None
    name = call.func if call else node
    if not isinstance(name, ast.Name):
        raise RecipeError.at(
            step,
            "",
            f"{shorten(quote(piece))} cannot be read; write a strategy's name and its values, such "
            "as top_k(50).",
        )
    values = tuple(_literal(arg, step, name.id) for arg in call.args) if call else ()
    named: dict[str, Any] = {}
    for keyword in call.keywords if call else ():
        if keyword.arg is None:
            raise RecipeError.at(step, name.id, "** has no meaning in a recipe.")
        if keyword.arg in named:
            raise RecipeError.at(step, name.id, f"{keyword.arg} is given twice.", keyword.arg)
        named[keyword.arg] = _literal(keyword.value, step, name.id, keyword.arg)
    return Call(name.id, values, named, enabled)


def _expression(text: str) -> ast.expr:
    """The text's syntax tree, not evaluated; raises ``ValueError`` where it is no expression."""
    try:
        return ast.parse(text, _SOURCE, mode="eval").body
    except (SyntaxError, RecursionError, MemoryError, Warning) as error:
        raise ValueError(str(error)) from error


def _literal(node: ast.expr, step: int, strategy: str, field: str | None = None) -> Any:
    """A plain value, a list, or a mapping with texts as keys, written as in Python or in JSON."""
    if isinstance(node, ast.List):
        return [_literal(item, step, strategy, field) for item in node.elts]
    if isinstance(node, ast.Dict):
        return {
            _plain(key, step, strategy, field): _literal(value, step, strategy, field)
            for key, value in zip(node.keys, node.values, strict=True)
        }
    if isinstance(node, ast.Name) and node.id in _JSON:
        return _JSON[node.id]
    return _plain(node, step, strategy, field)


def _plain(node: ast.expr | None, step: int, strategy: str, field: str | None) -> Any:
    negative = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
    inner = node.operand if isinstance(node, ast.UnaryOp) and negative else node
    if isinstance(inner, ast.Constant):
        value = inner.value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return -value if negative else value
        if not negative and (value is None or isinstance(value, bool | str)):
            return value
    raise RecipeError.at(
        step,
        strategy,
        f"{field or 'a value'} must be a number, True, False, None or a quoted text, or these in "
        'a list such as ["a", "b"] or under texts such as {"a": 1}.',
        field,
    )
