"""A JSON schema as a grammar of llguidance.

What the library would get wrong without a word is refused here with ``ValueError``; each check
costs no more than reading the schema.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Context, Decimal
from typing import Any

from .grammar import Grammar, check_text, of_lark
from .longest import longest

# The library reads numbers as doubles, and rounds those it cannot read in one multiplication.
LARGEST = 2**53
FINEST = -22  # the power of ten of a last digit
DEEPEST = 500  # lists and objects in each other; how many Python reads depends on its version

_ANY = Context(prec=8_000, Emax=10**6, Emin=-(10**6))
_MARKS = re.compile(r'"(?:[^"\\]|\\.|\\\Z)*(?:"|\Z)|[\[{\]}]', re.DOTALL)


def of_schema(schema: str, whitespace: int) -> Grammar:
    """JSON that is valid for a schema, with ``whitespace`` characters in a run at the most."""
    read = _read(schema)
    between = rf"[\x20\x0A\x0D\x09]{{1,{whitespace}}}"
    blank = {"whitespace_pattern": between} if whitespace else {"whitespace_flexible": False}
    written = json.dumps(read | {"x-guidance": blank})
    return Grammar(of_lark(f"start: %json {written}"), longest(read, whitespace))


def _read(schema: str) -> dict[str, Any]:
    """A schema's object, every number in it exact."""
    check_text(schema)
    _shallow(schema)
    try:
        read = json.loads(
            schema,
            object_pairs_hook=_object,
            parse_int=_number,
            parse_float=_number,
            parse_constant=_constant,
        )
        json.dumps(read, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise ValueError(f"this is no JSON: {error}.") from None
    except UnicodeEncodeError:
        raise ValueError("a text in it has half of a character.") from None
    if not isinstance(read, dict):
        raise ValueError('a schema is a JSON object, such as {"type": "integer"}.')
    if "x-guidance" in read:
        raise ValueError("x-guidance has no meaning here; set whitespace beside the schema.")
    _multiples(read)
    return read


def _shallow(schema: str) -> None:
    depth = 0
    for mark in _MARKS.findall(schema):
        depth += (mark in "[{") - (mark in "]}")
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {_short(name)} is given twice.")
        found[name] = value
    return found


def _constant(written: str) -> Any:
    raise ValueError(f"{written} is no number in JSON.")


def _number(written: str) -> int | float:
    try:
        exact = Decimal(written).normalize(_ANY)
        power = int(exact.as_tuple().exponent)
        kept = max(abs(exact), abs(exact.scaleb(-power, _ANY))) <= LARGEST and power >= FINEST
    except ArithmeticError:  # of an exponent beyond all bounds
        kept = False
    if not kept:
        raise ValueError(
            f"the number {_short(written)} cannot be kept to exactly: it may have 15 digits, and "
            f"be {LARGEST:,} at most."
        )
    return int(exact) if power >= 0 else float(exact)


def _multiples(read: Any) -> None:
    """Refuse values of ``multipleOf`` whose common multiple the library could not hold.

    It finds that of two as their product, in 32 bits, without a word where that overflows.
    """
    found: set[Decimal] = set()
    rest = [read]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            multiple = value.get("multipleOf")
            if isinstance(multiple, int | float) and not isinstance(multiple, bool) and multiple:
                found.add(abs(Decimal(repr(multiple))))
        if isinstance(value, dict | list):
            rest.extend(value.values() if isinstance(value, dict) else value)
    places = max((-int(each.normalize().as_tuple().exponent) for each in found), default=0)
    whole = [int(each * 10 ** max(0, places)) for each in found]
    if len(whole) > 1 and math.lcm(*whole) * max(whole) >= 2**32:
        raise ValueError("its values of multipleOf have too large a common multiple.")


def _short(text: str) -> str:
    return json.dumps(text if len(text) <= 40 else f"{text[:39]}…", ensure_ascii=False)
