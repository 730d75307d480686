"""Constrained texts match what was asked, whatever the model would rather write."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from strategies import Recipe, RecipeError, Row
from strategies.notation import quote
from tests.strategies.driver import Logits, context, run
from tests.tiny import EOS

ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
MERGES = [("t", "r"), ("tr", "u"), ("tru", "e"), ('"', ":"), ("Ã", "©"), ("a", "b"), ("1", "2")]


def tokenizer() -> Tokenizer:
    """Bytes after three special tokens, and a few longer tokens; é is two bytes and one token."""
    names = ["<pad>", "<s>", "<end>", *ALPHABET, *("".join(pair) for pair in MERGES)]
    made = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, MERGES))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(names[:3])
    return made


TOKENIZER = tokenizer()
VOCAB = TOKENIZER.get_vocab_size() + 5  # models round theirs up


def noise(seed: int, leaning: str = "") -> Logits:
    """Scores from a hash of the text; the bytes of ``leaning`` are likelier."""
    bonus = torch.zeros(VOCAB)
    bonus[TOKENIZER.encode(leaning).ids] = 3.0

    def logits(rows: list[tuple[int, ...]]) -> torch.Tensor:
        drawn = [
            torch.randn(VOCAB, generator=torch.Generator().manual_seed(hash((seed, row)) % 2**40))
            for row in rows
        ]
        return torch.stack(drawn) * 2 + bonus

    return logits


def text(row: Row) -> str:
    written = [token for token in row.generated if token != EOS]
    return "".join(TOKENIZER.decode(written, skip_special_tokens=False))


@pytest.fixture(autouse=True)
def real_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference loop's contexts know this file's tokenizer."""
    to_str = TOKENIZER.to_str
    monkeypatch.setattr("tests.strategies.driver.byte_tokenizer", lambda vocab: to_str)


def write(written: str, seed: int = 0, leaning: str = "", tokens: int = 400) -> Row:
    row = run(noise(seed, leaning), written, (1,), eos=(EOS,), max_new_tokens=tokens, seed=seed)[0]
    return row


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


def expression(drawn: random.Random, depth: int = 3) -> str:
    """A random expression of literals, classes, groups, choices and counts."""
    if depth == 0 or drawn.random() < 0.3:
        return drawn.choice(
            ["a", "b", "é", "日", "[0-9]", "[^x-z]", "true", r"\.", " ", "[é-ü]", "12"]
        )
    inner = [expression(drawn, depth - 1) for _ in range(drawn.randint(1, 3))]
    joined = "".join(inner) if drawn.random() < 0.6 else f"({'|'.join(inner)})"
    return joined if drawn.random() < 0.6 else f"({joined}){drawn.choice(['?', '{1,3}', '{2}'])}"


def test_a_thousand_expressions_are_matched() -> None:
    drawn = random.Random(0)
    for seed in range(600):
        pattern = expression(drawn)
        row = write(f"constrained({quote(pattern)}) | sample", seed)
        assert re.fullmatch(pattern, text(row), re.DOTALL), pattern


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


def test_hundreds_of_schemas_are_kept() -> None:
    drawn = random.Random(1)
    for seed in range(400):
        wanted = schema(drawn)
        written = f"constrained(json_schema={quote(json.dumps(wanted))}) | sample"
        row = write(written, seed, '"]},:', tokens=900)
        assert valid(json.loads(text(row)), wanted), (wanted, text(row))


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
    assert len(allowed(astray)) == VOCAB, "a text that has left the constraint is let go"


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
        ('constrained(json_schema="[") | greedy', "json_schema: this is no JSON: "),
        ('constrained(json_schema="5") | greedy', "a schema is a JSON object, such as"),
        (
            """constrained(json_schema='{"type": "foo"}') | greedy""",
            "json_schema: it cannot be matched: Invalid type: foo.",
        ),
        (
            """constrained("a", json_schema='{"type": "null"}') | greedy""",
            "give a regex or a json_schema, not both.",
        ),
        ('top_k(5) | constrained("a") | greedy', "Step 2 (constrained): it comes first"),
        ('constrained("[a&&b]") | greedy', "there is no text that matches."),
    ],
)
def test_what_cannot_be_matched_is_refused(written: str, says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.parse(written).build(context(VOCAB, (EOS,)))
    assert says in str(caught.value)


def test_a_tokenizer_is_needed_only_where_it_is_asked_for() -> None:
    unknown = context(VOCAB, (EOS,), tokenizer=None)
    words = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a")).to_str
    Recipe.parse("constrained | greedy").build(unknown)
    Recipe.parse('min_new_tokens(3) | constrained("a+") | greedy').build(context(VOCAB, (EOS,)))
    for about in (unknown, context(9, (EOS,)), context(VOCAB, (EOS,), tokenizer=words)):
        with pytest.raises(RecipeError, match="the bytes of this model's tokens are not known"):
            Recipe.parse('constrained("a") | greedy').build(about)
