"""Settings that are lists of texts, or texts with a number each: written, read, checked, drawn."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from strategies import Recipe, RecipeError, Row
from strategies.notation import literal, quote, read, write
from strategies.registry import registry
from tests.strategies.driver import context


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("bad_words(['a', \"b|c\"]) | greedy", 'bad_words(["a", "b|c"]) | greedy'),
        ("bad_words([]) | greedy", "bad_words | greedy"),
        (
            'logit_bias({" no": -3, "7": 2.5}) | greedy',
            'logit_bias({" no": -3.0, "7": 2.5}) | greedy',
        ),
        ("logit_bias(bias={}) | greedy", "logit_bias | greedy"),
        ('dry(0.8, breakers=["\\n"]) | greedy', 'dry(0.8, breakers=["\\n"]) | greedy'),
        ('dry(0.8, breakers=["\\n", ":", "\\"", "*"]) | greedy', "dry(0.8) | greedy"),
    ],
)
def test_reading_and_writing(given: str, written: str) -> None:
    recipe = Recipe.parse(given)
    assert str(recipe) == written and Recipe.parse(written) == recipe
    assert Recipe.from_steps(json.loads(json.dumps(recipe.to_steps()))) == recipe


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ("bad_words(1) | greedy", "words", 'must be a list of at most 100, such as ["a", "b"], '),
        ("bad_words([1]) | greedy", "words", "each a text of at most 100 characters, but [1]"),
        ('bad_words([""]) | greedy', "words", 'but [""] was given'),
        ('bad_words({"a": 1}) | greedy', "words", 'but {"a": 1} was given'),
        ('logit_bias(["a"]) | greedy', "bias", 'texts with their values, such as {"a": 1}, each a'),
        ('logit_bias({"a": 101}) | greedy', "bias", "a number from -100 to 100, but {"),
        ('logit_bias({"a": True}) | greedy', "bias", 'but {"a": True} was given'),
        ("logit_bias({1: 1}) | greedy", "bias", "but {1: 1} was given"),
        ("bad_words([['a']]) | greedy", "words", "each a text of at most 100 characters, but [["),
        ('bad_words(["ok", "a�"]) | greedy', "words", 'words: "a�" has � (U+FFFD) in it, which'),
        ('logit_bias({"�": 1}) | greedy', "bias", 'bias: "�" has � (U+FFFD) in it, which stands '),
        ('dry(0.8, breakers="�") | greedy', "breakers", 'breakers: "�" has � (U+FFFD) in it'),
        ("logit_bias({**{}}) | greedy", None, "or these in a list such as"),
        ("top_k([1]) | greedy", "top_k", "must be a whole number from 0 to 1,000,000, but [1]"),
    ],
)
def test_each_fault_has_its_sentence(text: str, field: str | None, says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.parse(text)
    assert says in str(caught.value) and caught.value.field == field


plain = st.one_of(st.booleans(), st.none(), st.integers(-99, 99), st.text(max_size=5))


@given(st.one_of(st.lists(plain), st.dictionaries(st.text(max_size=5), plain)))
@example(["|", '"', "\\", "\n", "#", ")"])
def test_a_list_and_a_mapping_survive_being_written(value: Any) -> None:
    (call,) = read(write("a", (value,), {"b": value}, True))
    assert (call.values, call.named) == ((value,), {"b": value})
    assert literal(quote(value)) == value


@pytest.mark.parametrize("text", ["", "not a list", "[1, 2", "f(1)", "[x]", "[" * 9000])
def test_other_text_in_a_field_stays_itself(text: str) -> None:
    assert literal(text) == text


def test_a_bias_names_ids_and_texts() -> None:
    (made, _), _ = Recipe.parse('logit_bias({"3": 1.5, "5 6": 2}) | top_k(2) | greedy').build(
        context(9)
    )
    zero = torch.zeros(2, 9)
    out = made(zero, [Row((1, 5), 1), Row((5, 1), 1)])
    assert out.tolist() == [[0, 0, 0, 1.5, 0, 0, 2, 0, 0], [0, 0, 0, 1.5, 0, 0, 0, 0, 0]]
    with pytest.raises(RecipeError, match="bias names the token 9, but this model's last is 8"):
        Recipe.parse('logit_bias({"9": 1}) | greedy').build(context(9))


def test_json_schema_says_what_they_are() -> None:
    words = registry().get("bad_words").Params.model_json_schema()["properties"]["words"]
    assert words["type"] == "array" and words["items"]["type"] == "string"
    bias = registry().get("logit_bias").Params.model_json_schema()["properties"]["bias"]
    assert bias["type"] == "object" and bias["additionalProperties"]["maximum"] == 100
