"""Constrained texts match the constraint, whatever the model prefers."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models

from strategies import Recipe, RecipeError, Row
from strategies.bridges.transformers_processors import AsLogitsProcessor
from strategies.grammars import of_regex
from strategies.notation import quote
from tests.strategies.driver import context
from tests.strategies.grammars.tokens import ALPHABET, TOKENIZER, VOCAB, begun, text, write
from tests.tiny import EOS

BOOLEAN = """constrained(json_schema='{"type": "boolean"}')"""


@pytest.mark.parametrize("search", ["sample", "greedy", "beam(3)"])
@pytest.mark.parametrize(
    "expression",
    [
        "yes|no",
        "[0-9]{4}-[01][0-9]-[0-3][0-9]",
        "é+è?",
        "(ab|true){1,5}",
        r"\"[a-c]*\":12",
        "日本(語|人)",
        "[^a-z]{2,9}",
    ],
)
def test_an_expression_is_matched(expression: str, search: str) -> None:
    for seed in range(5):
        row = write(f"constrained({quote(expression)}) | {search}", seed)
        assert row.generated[-1] == EOS
        assert re.fullmatch(expression, text(row))


def expression(drawn: random.Random, depth: int = 3) -> str:
    """A random expression of literals, classes, groups, choices and counts."""
    if depth == 0 or drawn.random() < 0.3:
        return drawn.choice(
            ["a", "b", "é", "日", "[0-9]", "[^x-z]", "true", r"\.", " ", "[é-ü]", "12"]
        )
    inner = [expression(drawn, depth - 1) for _ in range(drawn.randint(1, 3))]
    joined = "".join(inner) if drawn.random() < 0.6 else f"({'|'.join(inner)})"
    return joined if drawn.random() < 0.6 else f"({joined}){drawn.choice(['?', '{1,3}', '{2}'])}"


@pytest.mark.usefixtures("trusted")
def test_hundreds_of_expressions_are_matched() -> None:
    drawn = random.Random(0)
    for seed in range(600):
        pattern = expression(drawn)
        row = write(f"constrained({quote(pattern)}) | sample", seed)
        assert re.fullmatch(pattern, text(row), re.DOTALL), pattern


def test_a_cut_text_can_still_match() -> None:
    row = write('constrained("(true){30}") | sample', tokens=7)
    assert ("true" * 30).startswith(text(row)) and len(row.generated) == 7


def test_a_fork_and_a_rewind_keep_their_own_place() -> None:
    (made, _), _ = Recipe.parse('constrained("ab|aé") | top_k(50) | sample').build(
        context(VOCAB, (EOS,))
    )
    a, b = TOKENIZER.encode("a").ids + TOKENIZER.encode("b").ids
    first, second = TOKENIZER.encode("é").ids[0], ALPHABET.index("©") + 3

    def allowed(state: Any) -> set[int]:
        out = made(torch.zeros(1, VOCAB), [Row((1,), 1, state=state)])[0]
        return set((out > -torch.inf).nonzero().flatten().tolist())

    start = made.initial_state()
    after_a = made.observe(start, a, -1.0)
    half = made.observe(after_a, ALPHABET.index("Ã") + 3, -1.0)  # half of é
    done = made.observe(after_a, b, -1.0)
    assert allowed(after_a) == {b, first, ALPHABET.index("Ã") + 3}
    assert allowed(half) == {second} and allowed(done) == {EOS}
    assert allowed(after_a) == {b, first, ALPHABET.index("Ã") + 3}, "as it was before the forks"
    assert a in allowed(start) and b not in allowed(start)
    astray = made.observe(start, b, -1.0)
    assert allowed(astray) == set(), "a text that has left the constraint has no way back"
    assert allowed(made.observe(start, EOS, -1.0)) == set(), "it may not end there"
    assert allowed(made.observe(done, EOS, -1.0)) == {EOS}, "what has ended has only its end"


def test_where_nothing_fits_of_what_is_left_nothing_is() -> None:
    (made,), _ = Recipe.parse('constrained("yes|no") | sample').build(context(VOCAB, (EOS,)))
    scores = torch.full((1, VOCAB), -torch.inf)
    scores[0, TOKENIZER.encode("q").ids] = 1.0
    out = made(scores, [Row((1,), 1, state=made.initial_state())])
    assert (out == -torch.inf).all(), "the engine tells of it"


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ('constrained("([") | greedy', "regex: it cannot be matched: unclosed character class."),
        ('constrained("(?=a)b") | greedy', "look-around, including look-ahead and look-behind"),
        (r'constrained("a\\b c") | greedy', r"regex: \b, \B and the like look around them"),
        (
            """constrained(json_schema='{"oneOf": [{"minimum": 1}, {"minimum": 2}]}') | greedy""",
            "json_schema: oneOf is followed only where no two of its choices can hold; use anyOf.",
        ),
        ('constrained(json_schema="[") | greedy', "json_schema: this is no JSON: "),
        ('constrained(json_schema="5") | greedy', "a schema is a JSON object, such as"),
        (
            """constrained(json_schema='{"type": "foo"}') | greedy""",
            "json_schema: it cannot be matched: Invalid type: foo.",
        ),
        (
            """constrained("a", json_schema='{"type": "null"}') | greedy""",
            "regex and json_schema are given; give one of them.",
        ),
        ('top_k(5) | constrained("a") | greedy', "Step 2 (constrained): it comes first"),
        ('constrained("[a&&b]") | greedy', "regex: there is no text that matches."),
    ],
)
def test_what_cannot_be_matched_is_refused(written: str, says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.parse(written).build(context(VOCAB, (EOS,)))
    assert says in str(caught.value)


def test_a_tokenizer_is_needed_only_where_it_is_asked_for() -> None:
    unknown = context(VOCAB, (EOS,), tokenizer=None)
    words = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a")).to_str
    Recipe.parse("top_k(5) | constrained | greedy").build(unknown)
    Recipe.parse('temperature | constrained("a") | greedy').build(context(VOCAB, (EOS,)))
    Recipe.parse('min_new_tokens(3) | constrained("a+") | greedy').build(context(VOCAB, (EOS,)))
    for about in (unknown, context(9, (EOS,)), context(VOCAB, (EOS,), tokenizer=words)):
        with pytest.raises(RecipeError, match="the bytes of this model's tokens are not known"):
            Recipe.parse('constrained("a") | greedy').build(about)


def test_every_way_to_write_a_forced_text_is_a_candidate() -> None:
    at = begun(of_regex("true"))
    allowed = [TOKENIZER.id_to_token(i) for i in at.allowed().nonzero().flatten().tolist()]
    assert sorted(allowed, key=len) == ["t", "tr", "tru", "true"]
    ids = TOKENIZER.token_to_id
    row = write('constrained("true") | bad_words(["true"]) | greedy')
    assert text(row) == "true", "a step behind it may take one way, and leaves the others"
    for way in (["t", "r", "u", "e"], ["tr", "u", "e"], ["tru", "e"], ["true"]):
        then = at
        for token in way:
            assert then.allowed()[ids(token)]
            then = then.after(ids(token))
        assert then.allowed().nonzero().flatten().tolist() == [EOS]


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ('min_new_tokens(9) | constrained("none") | greedy', "no text that matches has the"),
        ('constrained("none") | min_new_tokens(9) | greedy', "no text that matches has the"),
        (f"min_new_tokens(6) | {BOOLEAN} | greedy", "no text that matches has the 6 tokens"),
    ],
)
def test_a_minimum_it_could_not_keep_is_refused(written: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        Recipe.parse(written).build(context(VOCAB, (EOS,)))
    for possible in ('2) | constrained("é")', '90) | constrained("a+")', f"5) | {BOOLEAN}"):
        Recipe.parse(f"min_new_tokens({possible} | greedy").build(context(VOCAB, (EOS,)))


def test_generate_is_told_where_a_text_cannot_go_on() -> None:
    recipe = 'min_new_tokens(3) | constrained("ab") | greedy'
    made = AsLogitsProcessor(
        'min_new_tokens(2) | constrained("ab") | greedy', context(VOCAB, (EOS,)), 1
    )
    ab = TOKENIZER.token_to_id("ab")
    made(torch.tensor([[1]]), torch.zeros(1, VOCAB))
    with pytest.raises(RecipeError, match="the text matches and cannot go on"):
        made(torch.tensor([[1, ab]]), torch.zeros(1, VOCAB))
    with pytest.raises(RecipeError, match="no text that matches has the"):
        AsLogitsProcessor(recipe, context(VOCAB, (EOS,)), 1)
