"""A grammar's texts are those it derives, in GBNF and in Lark; a choice is one of those listed."""

from __future__ import annotations

import json
import random
import re
from functools import cache
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import Recipe, RecipeError
from strategies.grammars import Grammar, of_choices, of_grammar
from strategies.grammars.gbnf import to_lark
from strategies.notation import quote
from tests.strategies.driver import GRAMMARS, context
from tests.strategies.grammars.tokens import ALPHABET, TOKENIZER, VOCAB, begun, kept, text, write
from tests.tiny import EOS

LETTERS = "abc"
ODD = [*map(chr, range(160)), "é", "日", "😀", "\u2028", "\ufeff", "\ufffd"]


def language(grammar: Grammar, most: int = 4) -> list[str]:
    """All its texts of ``LETTERS`` up to a length, the shortest first."""
    found, rest = [], [("", begun(grammar))]
    for written, at in rest:
        allowed = at.allowed()
        if allowed[EOS]:
            found.append(written)
        if len(written) < most:
            ids = {letter: ALPHABET.index(letter) + 3 for letter in LETTERS}
            rest += [(written + x, at.after(i)) for x, i in ids.items() if allowed[i]]
    return found


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("grammar", "texts"),
    [
        ('root ::= "ab" | "a" x\nx ::= "c"?', ["a", "ab", "ac"]),
        ('root ::= ("ab" | "abc") "ca"', ["abca"]),  # the shorter way is one as well
        ('root ::= [a-b]+ "a"  # greedy where lexemes are', None),
        ('root ::= "a" root "b" |', ["", "ab", "aabb"]),
        ('root ::= root "a" | "b"', ["b", "ba", "baa", "baaa"]),
        ('root ::=\n  [^a-b] x-y\n  | (\n  "b" )\n\nx-y::="a"{2,3}\r\n', ["b", "caa", "caaa"]),
        ('root ::= a_b a-b\na_b ::= "a"\na-b ::= "\\x62"', ["ab"]),
        ('root ::= .{2} "" "\\u0061"', None),
        ('root ::= "a" { 2 , 2 } [c\\]-]?', ["aa", "aac"]),
        ('start: "a" s "b"\ns: s "c" |', ["ab", "acb", "accb"]),
        ('start: A+ "c"\nA: /[ab]/ // a comment\n', None),
        ('start: ("ab" | "abc") "ca"', []),  # as Lark's lexer reads it: abc is taken first
    ],
)  # fmt: skip
def test_the_texts_are_those_it_derives(grammar: str, texts: list[str] | None) -> None:
    expected = {
        'root ::= [a-b]+ "a"  # greedy where lexemes are': r"[ab]+a",
        'root ::= .{2} "" "\\u0061"': r"..a",
        'start: A+ "c"\nA: /[ab]/ // a comment\n': r"[ab]+c",
    }
    if texts is None:
        every = ["".join(letters) for n in range(5) for letters in product(LETTERS, repeat=n)]
        texts = [one for one in every if re.fullmatch(expected[grammar], one)]
    assert language(of_grammar(grammar)) == texts


Rule = list[list[Any]]  # alternatives of letters, names of rules, and (inner, least, most)


def drawn_rules(drawn: random.Random) -> dict[str, Rule]:
    names = ["root", "x", "y"]

    def part(depth: int) -> Any:
        kind = drawn.random()
        if kind < 0.5 or depth == 0:
            return drawn.choice(["a", "b", "ab", "c", "ca"])
        if kind < 0.75:
            return f"<{drawn.choice(names)}>"
        inner = [[part(depth - 1) for _ in range(drawn.randint(0, 2))] for _ in range(2)]
        return (inner, *drawn.choice([(0, 1), (0, 9), (1, 9), (1, 2), (2, 2)]))

    return {
        name: [[part(2) for _ in range(drawn.randint(0, 3))] for _ in range(drawn.randint(1, 3))]
        for name in names
    }


def as_gbnf(rules: dict[str, Rule]) -> str:
    def alternatives(rule: Rule) -> str:
        return " | ".join(" ".join(map(one, parts)) or '""' for parts in rule)

    def one(part: Any) -> str:
        if isinstance(part, str):
            return part[1:-1] if part.startswith("<") else f'"{part}"'
        inner, least, most = part
        times = {(0, 1): "?", (0, 9): "*", (1, 9): "+"}.get((least, most), f"{{{least},{most}}}")
        return f"({alternatives(inner)}){times}"

    return "\n".join(f"{name} ::= {alternatives(rule)}" for name, rule in rules.items())


def derives(rules: dict[str, Rule], text: str) -> bool:
    """Whether a text is derived: where each part may end is worked out until nothing is new."""
    ends: dict[tuple[str, int], set[int]] = {(n, at): set() for n in rules for at in range(9)}

    def after(parts: list[Any], at: int) -> set[int]:
        reached = {at}
        for part in parts:
            reached = {end for start in reached for end in one(part, start)}
        return reached

    def one(part: Any, at: int) -> set[int]:
        if isinstance(part, str):
            if part.startswith("<"):
                return ends[part[1:-1], at]
            return {at + len(part)} if text.startswith(part, at) else set()
        inner, least, most = part
        found, reached = ({at} if least == 0 else set()), {at}
        for count in range(1, most + 1):
            reached = {end for start in reached for parts in inner for end in after(parts, start)}
            found |= reached if count >= least else set()
        return found

    changed = True
    while changed:
        changed = False
        for (name, at), known in ends.items():
            new = {end for parts in rules[name] for end in after(parts, at)} - known
            changed |= bool(new)
            known |= new
    return len(text) in ends["root", 0]


@pytest.mark.usefixtures("trusted")
def test_random_grammars_derive_what_a_plain_parser_finds() -> None:
    every = ["".join(letters) for n in range(4) for letters in product(LETTERS, repeat=n)]
    met = 0
    for seed in range(60):
        rules = drawn_rules(random.Random(seed))
        texts = [one for one in every if derives(rules, one)]
        grammar = of_grammar(as_gbnf(rules))
        found = [one for one in every if one in set(language(grammar, 3))] if texts else []
        assert found == texts, as_gbnf(rules)
        met += len(texts) > 3
    assert met > 10


@pytest.mark.usefixtures("trusted")
def test_every_character_is_itself() -> None:
    for one in ODD:
        escaped = f"\\U{ord(one):08x}"
        assert kept(of_choices([f"{one}x", "y"]), f"{one}x")
        assert kept(of_grammar(f'root ::= "{escaped}x"'), f"{one}x")
        assert not kept(of_grammar(f"root ::= [^{escaped}]"), one)
        if one not in '"\\':
            assert kept(of_grammar(f'root ::= "{one}x"'), f"{one}x")
        if one not in "\\]^":
            assert kept(of_grammar(f'root ::= [{one}-{one}] "x"'), f"{one}x")


@pytest.mark.parametrize(
    ("grammar", "says"),
    [
        ("root ::= (", "a bracket is not closed."),
        ('root ::= ("a"\nx ::= "b" )', "a bracket is not closed."),
        ("root ::= )", "a bracket is closed that is not open."),
        ("root ::= b", "there is no rule b."),
        ('x ::= "a"', "there is no rule root."),
        ('"a"\nroot ::= "b"', "a grammar begins with a rule, such as root"),
        ('root ::= "\\ud800"', "\\ud800 is no character."),
        ('root ::= "\\q"', '"\\\\q" is no character.'),
        ("root ::= [z-a]", "the range z-a is empty."),
        ("root ::= []", "a set of characters is empty."),
        ('root ::= "a', 'it cannot be read from "\\"a" on.'),
        ('root ::= "a"*?', "? stands behind nothing that it could repeat."),
        ('root ::= | +', "+ stands behind nothing that it could repeat."),
        ('root ::= "a"\nroot ::= "b"', "the rule root is given twice."),
        ('%llguidance {}\nstart: "a"', "%llguidance has no meaning here."),
        ('start: %json {"const": 1e400}', "%json is not read here; give a schema as json_schema."),
        ('start: x\nx[temperature=0.5]: "a"', "a grammar sets no temperature"),
        ('start: x', 'it cannot be matched: at 2(8): unknown name: "x".'),
        ('root: "a"', "it cannot be matched: no start rule found."),
        ("start: " + "(" * 4_000, "it is nested too deeply."),
        ("root ::= " + "(" * 3_000 + '"a"' + ")" * 3_000, "it is nested too deeply."),
        ('start: "\ud800"', "half a character"),
    ],
)  # fmt: skip
def test_what_is_no_grammar_is_refused(grammar: str, says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.from_steps(
            [{"strategy": "constrained", "params": {"grammar": grammar}}, {"strategy": "greedy"}]
        ).build(context(VOCAB, (EOS,)))
    assert says in str(caught.value) and str(caught.value).startswith("Step 1 (constrained): ")


JSON = r"""# of llama.cpp, shortened
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [1-9] [0-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
"""


def test_a_grammar_of_json_writes_json() -> None:
    grammar = of_grammar(JSON.replace("bfnrt", "nrt"))
    for one in ("{}", '{"a": [1, -2.5e3, "é\\n"],"b": null}', '{"\\u00e9":{"b":[[], true]}}'):
        assert kept(grammar, one) == bool(json.loads(one) or one == "{}"), one
    for one in ("[]", '{"a":}', '{"a":01}', '{"a":1'):
        assert not kept(grammar, one), one


@pytest.mark.parametrize("search", ["sample", "greedy", "beam(3)", "sample(3)"])
@pytest.mark.parametrize("choices", [["yes", "no"], ["a", "ab", "abc"], ["é", "日本", ' "x"\n']])
def test_one_of_the_choices_is_written(choices: list[str], search: str) -> None:
    for seed in range(3):
        row = write(f"constrained(choices={quote(choices)}) | {search}", seed)
        assert text(row) in choices and row.generated[-1] == EOS


@cache
def known() -> Any:
    return GRAMMARS.vocabulary(TOKENIZER.to_str, VOCAB, (EOS,))


@pytest.mark.usefixtures("trusted")
@given(st.lists(st.text("abé\n|/\\", min_size=1, max_size=5), min_size=1, max_size=4, unique=True))
def test_a_choice_is_of_those_listed(choices: list[str]) -> None:
    grammar = of_choices(choices)
    longest = max(choices, key=lambda one: len(one.encode()))
    assert all(kept(grammar, one) for one in choices) and not kept(grammar, f"{longest}a")
    assert GRAMMARS.reaches(known(), grammar, len(longest.encode()))
    assert not GRAMMARS.reaches(known(), grammar, len(longest.encode()) + 1)


def test_a_minimum_longer_than_every_choice_is_refused() -> None:
    with pytest.raises(RecipeError, match="no text that matches has the 4 tokens"):
        Recipe.parse('min_new_tokens(4) | constrained(choices=["yes", "no"]) | greedy').build(
            context(VOCAB, (EOS,))
        )


def test_a_token_that_ends_texts_is_no_way_out_of_a_grammar() -> None:
    at = begun(of_grammar(f'start: <[{EOS}]> "a" | "b"'))
    assert not at.allowed()[EOS], "it does not match yet"
    assert at.after(ALPHABET.index("b") + 3).allowed()[EOS]


def test_gbnf_is_told_from_lark_by_how_it_defines() -> None:
    assert to_lark('root ::= "a:="') in of_grammar('root ::= "a:="').written.replace("\\\\", "\\")
    assert language(of_grammar('start: "a" // ::= root')) == ["a"]
