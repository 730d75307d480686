"""Constrained texts match what was asked, whatever the model would rather write."""

from __future__ import annotations

import json
import random
import re
import subprocess
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from strategies import Recipe, RecipeError, Row
from strategies.bridges.transformers_processors import AsLogitsProcessor
from strategies.grammars import Matching, Unfit, of_regex, of_schema, trial, vocabulary
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


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grammars that are not tried out first: each would cost a process."""
    monkeypatch.setattr(trial.trials, "fault", lambda *given: "")


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


@pytest.mark.usefixtures("trusted")
def test_hundreds_of_expressions_are_matched() -> None:
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


@pytest.mark.usefixtures("trusted")
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
    Recipe.parse("constrained | greedy").build(unknown)
    Recipe.parse('min_new_tokens(3) | constrained("a+") | greedy').build(context(VOCAB, (EOS,)))
    for about in (unknown, context(9, (EOS,)), context(VOCAB, (EOS,), tokenizer=words)):
        with pytest.raises(RecipeError, match="the bytes of this model's tokens are not known"):
            Recipe.parse('constrained("a") | greedy').build(about)


def begun(grammar: str) -> Matching:
    return Matching.begin(vocabulary(TOKENIZER.to_str, VOCAB, (EOS,)), grammar)


def kept(grammar: str, written: str) -> bool:
    """Whether a grammar lets a text be written byte by byte, and end."""
    at = begun(grammar)
    for token in [ALPHABET.index(letter) + 3 for letter in as_bytes(written)]:
        if not at.allowed()[token]:
            return False
        at = at.after(token)
    return bool(at.allowed()[EOS])


def as_bytes(written: str) -> str:
    (piece,) = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(
        written
    )
    return str(piece[0])


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
    assert len(schema) > 8_000 or RecipeError is not None
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


def test_a_failure_ends_the_text_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one text may come to need is bounded: it is told, and nothing is let go."""
    drawn = random.Random(0)
    monkeypatch.setitem(trial.LIMITS, "max_lexer_states", 1_000)
    at = begun(of_regex("(.*[a-m].{30}.*[n-z].{30}){2}"))
    for _ in range(400):
        choices = at.allowed().nonzero().flatten().tolist()
        if not choices:
            break
        at = at.after(drawn.choice(choices))
    assert at.stuck.startswith("the text and all that may follow it are more than can be kept")
    assert not at.allowed().any(), "not even its end"
    assert at.after(5).stuck == at.stuck and not at.after(5).allowed().any()


HOSTILE = {
    "allOf": json.dumps(
        {"allOf": [{"pattern": f".*{c}.{{100}}{c}"} for c in "abcdefghijklmnopqrst"]}
    ),
    "multipleOf": '{"type": "integer", "multipleOf": 999983}',
}


@pytest.mark.parametrize("schema", HOSTILE.values(), ids=HOSTILE)
def test_what_passes_the_bounds_is_refused(schema: str) -> None:
    with pytest.raises(Unfit, match=r"it takes more than (0.1 s|8 MB) to compile"):
        begun(of_schema(schema, 1))


def test_a_grammar_is_tried_once_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    made, sent = trial.Trials(), []
    send = trial._send

    def record(process: Any, lines: list[dict[str, Any]]) -> None:
        sent.extend(line for line in lines if "grammar" in line)
        send(process, lines)

    monkeypatch.setattr(trial, "_send", record)
    told: list[str] = []
    known, grammar = vocabulary(TOKENIZER.to_str, VOCAB, (EOS,)), of_schema(HOSTILE["allOf"], 0)
    ask = [
        threading.Thread(target=lambda: told.append(made.fault(known, grammar))) for _ in range(4)
    ]
    for thread in ask:
        thread.start()
    for thread in ask:
        thread.join()
    told.append(made.fault(known, grammar))
    assert len(sent) == 1 and len(told) == 5 and len(set(told)) == 1
    made.close()


def test_a_lost_process_is_begun_again_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made, known = trial.Trials(), vocabulary(TOKENIZER.to_str, VOCAB, (EOS,))
    assert made.fault(known, of_regex("one")) == ""
    first = made._process
    assert first is not None
    first.kill()
    first.wait()
    assert made.fault(known, of_regex("two")) == ""
    second = made._process
    assert second is not None and second.pid != first.pid
    made.close()
    assert second.poll() == 0, "it ends with its input, and is waited for"
    monkeypatch.setattr(trial.sys, "executable", "/nowhere")
    assert "could not be reached" in made.fault(known, of_regex("three")), "and then nothing passes"


def test_the_process_knows_no_torch() -> None:
    program = Path(trial.__file__).with_name("process.py")
    code = f"import sys, runpy; runpy.run_path({str(program)!r}); print('torch' in sys.modules)"
    told = subprocess.run(["python3", "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ('min_new_tokens(9) | constrained("none") | greedy', "no text that matches has the"),
        ('constrained("none") | min_new_tokens(9) | greedy', "no text that matches has the"),
    ],
)
def test_a_minimum_it_could_not_keep_is_refused(written: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        Recipe.parse(written).build(context(VOCAB, (EOS,)))
    Recipe.parse('min_new_tokens(2) | constrained("é") | greedy').build(context(VOCAB, (EOS,)))
    Recipe.parse('min_new_tokens(90) | constrained("a+") | greedy').build(context(VOCAB, (EOS,)))


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
