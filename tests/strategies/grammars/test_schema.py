"""JSON keeps to its schema, and what could not be kept to exactly is refused."""

from __future__ import annotations

import json
import random
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.grammars import of_schema
from strategies.notation import quote
from tests.strategies.grammars.tokens import TOKENIZER, begun, kept, text, write
from tests.tiny import EOS

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "size": {"type": "integer", "minimum": 0, "maximum": 99},
        "tags": {"type": "array", "items": {"enum": ["é", "b|c", None]}, "maxItems": 3},
    },
    "required": ["name", "tags"],
    "additionalProperties": False,
}


def test_a_schema_is_kept() -> None:
    for seed in range(10):
        row = write(f"constrained(json_schema={quote(json.dumps(SCHEMA))}) | sample", seed, '"}],')
        found = json.loads(text(row))
        assert set(found) <= set(SCHEMA["properties"]) and {"name", "tags"} <= set(found)
        assert len(found["name"]) <= 6 and set(found["tags"]) <= {"é", "b|c", None}
        assert 0 <= found.get("size", 0) <= 99


def schema(drawn: random.Random, depth: int = 2) -> dict[str, Any]:
    kind = drawn.choice(["integer", "boolean", "null", "string", "enum", "array", "object"])
    if kind == "enum" or (depth == 0 and kind in ("array", "object")):
        return {"enum": drawn.sample(["é", 'q"', 5, None, True, "日本", 1.5], 3)}
    if kind == "integer":
        return {"type": kind, "minimum": -5, "maximum": drawn.randint(0, 2000)}
    if kind == "string":
        return {"type": kind, "maxLength": drawn.randint(0, 4)}
    if kind == "array":
        return {"type": kind, "items": schema(drawn, depth - 1), "maxItems": drawn.randint(0, 3)}
    if kind == "object":
        names = drawn.sample(["a", "b", "é", "long name"], drawn.randint(0, 3))
        return {
            "type": kind,
            "properties": {name: schema(drawn, depth - 1) for name in names},
            "required": names[: drawn.randint(0, len(names))],
            "additionalProperties": False,
        }
    return {"type": kind}


def valid(value: Any, wanted: dict[str, Any]) -> bool:
    """Whether a value is what one of the schemas above describes."""
    if "enum" in wanted:
        return any(value == each and type(value) is type(each) for each in wanted["enum"])
    match wanted["type"]:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return type(value) is int and wanted["minimum"] <= value <= wanted["maximum"]
        case "string":
            return isinstance(value, str) and len(value) <= wanted["maxLength"]
        case "array":
            return len(value) <= wanted["maxItems"] and all(
                valid(v, wanted["items"]) for v in value
            )
        case _:
            known = wanted["properties"]
            return {*wanted["required"]} <= {*value} <= {*known} and all(
                valid(inner, known[name]) for name, inner in value.items()
            )


@pytest.mark.usefixtures("trusted")
def test_hundreds_of_schemas_are_kept() -> None:
    drawn = random.Random(1)
    for seed in range(400):
        wanted = schema(drawn)
        written = f"constrained(json_schema={quote(json.dumps(wanted))}) | sample"
        row = write(written, seed, '"]},:', tokens=900)
        assert valid(json.loads(text(row)), wanted), (wanted, text(row))


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ('{"const": 9007199254740993}', 'the number "9007199254740993" cannot be kept to exactly'),
        ('{"const": 12345678901234567890}', "cannot be kept to exactly"),
        ('{"minimum": 9007199254740993, "maximum": 9007199254740993}', "9007199254740993"),
        ('{"enum": [0.12345678901234567]}', "0.12345678901234567"),
        ('{"enum": [[{"a": 1e400}]]}', "1e400"),
        ('{"properties": {"a": {"default": 1e400}}}', "1e400"),
        ('{"const": 1e99999999999999999999}', "1e99999999999999999999"),
        ('{"maximum": 1e-400}', "1e-400"),
        ('{"const": NaN}', "NaN is no number in JSON."),
        ('{"enum": [[-Infinity]]}', "-Infinity is no number in JSON."),
        ('{"items": {"multipleOf": Infinity}}', "Infinity is no number in JSON."),
        (
            '{"allOf": [{"multipleOf": 65536}, {"multipleOf": 65537}]}',
            "too large a common multiple",
        ),
        ('{"const": 1, "const": 2}', 'the key "const" is given twice.'),
        ('{"x-guidance": {"lenient": true}, "not": {}}', "x-guidance has no meaning here"),
        ('{"const": "\\ud800"}', "half of a character"),
        ('{"items": ' * 1_500 + "{}" + "}" * 1_500, "it is nested too deeply."),
        ('{"enum": [' + "[" * 600 + "]" * 600 + "]}", "it is nested too deeply."),
    ],
)
def test_what_would_be_written_otherwise_than_it_says_is_refused(schema: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        of_schema(schema, 1)


def test_brackets_in_a_text_nest_nothing() -> None:
    assert of_schema(json.dumps({"const": '\\"' + "[{" * 600}), 1)


@given(
    st.integers(-(2**53), 2**53)
    | st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-999, max_value=999)
)
@pytest.mark.usefixtures("trusted")
def test_a_number_is_written_exactly_or_refused(number: int | Decimal) -> None:
    grammar = of_schema(f'{{"const": {number:f}}}' if number else '{"const": 0}', 1)
    at, digits = begun(grammar), ""
    while not at.allowed()[EOS]:
        choices = at.allowed().nonzero().flatten().tolist()
        single = [token for token in choices if len(TOKENIZER.id_to_token(token)) == 1]
        assert len(single) == 1, "there is one way to write it"
        digits += TOKENIZER.id_to_token(single[0])
        at = at.after(single[0])
    assert Decimal(digits) == number


@pytest.mark.parametrize("whitespace", [0, 1, 3])
def test_white_space_in_json_is_bounded(whitespace: int) -> None:
    grammar = of_schema('{"type": "object", "required": ["a"]}', whitespace)
    for length in range(5):
        assert kept(grammar, '{"a":' + " " * length + "1}") == (length <= whitespace)
    assert kept(of_schema("{}", 20), '{\n  "a": [\n    1\n  ]\n}')
