"""How long the JSON of a schema can be is known where the schema bounds it, and never too low."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.grammars import Grammar, of_schema
from strategies.grammars.longest import longest
from tests.strategies.grammars.test_schema import schema
from tests.strategies.grammars.tokens import TOKENIZER, begun
from tests.tiny import EOS

TREE = {"$defs": {"n": {"type": "array", "items": {"$ref": "#/$defs/n"}, "maxItems": 2}}}
NAMES = {"type": "object", "properties": {"k": {"enum": ["x", "yy"]}, "é": {"type": "null"}}}
CLOSED = NAMES | {"additionalProperties": False}


@pytest.mark.parametrize(
    ("wanted", "whitespace", "bytes"),
    [
        ({"type": "boolean"}, 3, 5),
        ({"type": ["null", "boolean"]}, 1, 5),
        ({"const": "é\n"}, 1, 2 + 2 + 6),
        ({"const": 'a"\\'}, 0, 2 + 1 + 4),
        ({"const": -0.5}, 0, 4),
        ({"enum": [1e-7, True, "none"]}, 0, 9),
        ({"type": "integer", "minimum": -5, "maximum": 100}, 0, 3),
        ({"type": "integer", "exclusiveMinimum": -0.5, "maximum": 7}, 0, 2),
        ({"type": "string", "maxLength": 3}, 0, 20),
        ({"type": "array", "items": {"const": 1}, "maxItems": 3}, 0, len("[1,1,1]")),
        ({"type": "array", "items": {"const": 1}, "maxItems": 2}, 1, len("[ 1 , 1 ]")),
        ({"type": "array", "prefixItems": [{"const": 1}], "items": False}, 0, len("[1]")),
        ({"const": {"a": 1, "b": []}}, 2, len('{  "a"  :  1  ,  "b"  :  [  ]  }')),
        (CLOSED, 1, len('{ "k" : "yy" , "éé" : null }')),
        ({"anyOf": [{"const": 1}, CLOSED]}, 0, len('{"k":"yy","éé":null}')),
        ({"$defs": {"a": CLOSED}, "title": "T", "$ref": "#/$defs/a"}, 0, 20),
        (NAMES, 1, math.inf),
        ({"type": "string", "pattern": "a{3}"}, 1, math.inf),
        ({"type": "integer", "minimum": 0}, 1, math.inf),
        ({"type": "number", "minimum": 0, "maximum": 1}, 1, math.inf),
        ({"allOf": [{"const": 1}]}, 1, math.inf),
        ({"$ref": "#/$defs/no"}, 1, math.inf),
        (TREE | {"$ref": "#/$defs/n"}, 1, math.inf),
        ({"$ref": "#"}, 1, math.inf),
    ],
)
def test_a_bound_is_what_can_be_written(wanted, whitespace, bytes) -> None:  # type: ignore[no-untyped-def]
    assert longest(wanted, whitespace) == bytes


def written(grammar: Grammar, drawn: random.Random) -> int:
    """Bytes of a text drawn byte by byte, with all the white space that may be."""
    at, count = begun(grammar), 0
    while count < 3_000:
        choices = [t for t in at.allowed().nonzero().flatten().tolist() if t != EOS]
        single = [token for token in choices if len(TOKENIZER.id_to_token(token)) == 1]
        if not single:
            break
        blank = TOKENIZER.token_to_id("Ġ")
        at = at.after(blank if blank in single else drawn.choice(single))
        count += 1
    return count


@pytest.mark.usefixtures("trusted")
def test_no_text_is_longer_than_its_bound() -> None:
    met = 0
    for seed in range(150):
        drawn = random.Random(seed)
        wanted, whitespace = schema(drawn, 3), drawn.choice([0, 1, 3])
        grammar = of_schema(json.dumps(wanted), whitespace)
        length = written(grammar, drawn)
        assert length <= grammar.longest < math.inf, wanted
        met += length == grammar.longest
    assert met > 30, "and many are as long"


def test_a_schema_that_says_the_same_again_and_again_costs_little() -> None:
    pairs = {f"d{i}": {"prefixItems": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)}
    twice = {name: {"type": "array", "maxItems": 2, **value} for name, value in pairs.items()}
    assert (
        longest({"$defs": twice | {"d40": {"type": "null"}}, "$ref": "#/$defs/d0"}, 1) == math.inf
    )
    nested: object = []
    for _ in range(400):
        nested = [nested]
    assert longest({"const": nested}, 1) == math.inf


KEYWORDS = (
    "type enum const anyOf $ref maxLength minimum maximum maxItems items prefixItems properties"
)
keywords = st.sampled_from([*KEYWORDS.split(), "additionalProperties"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    | st.sampled_from(["#", "#/a", "array", "object", "string", "integer"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keywords, inner, max_size=4),
)  # fmt: skip


@given(anything)
def test_whatever_it_is_given_is_bounded_by_a_number(wanted: object) -> None:
    assert longest(wanted, 1) >= 0
