"""Ban phrases over tables of probabilities, and against a loop written from its description."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strategies import Recipe, RecipeError, Refusal, Rewind, Row
from strategies.ops.noise import gumbel
from strategies.ops.phrases import Phrases, token_at
from strategies.processors.ban_phrases import BanPhrases
from tests.strategies.driver import context, run, transitions

REWIND = BanPhrases.rewind
# After 0 most likely 1, after 1 most likely 2; the text of a token is its number.
TABLE = torch.tensor(
    [
        [0.1, 0.5, 0.3, 0.1],
        [0.1, 0.1, 0.7, 0.1],
        [0.6, 0.1, 0.1, 0.2],
        [0.4, 0.3, 0.2, 0.1],
    ]
)


def texts(recipe: str, tokens: int = 6, **more: int) -> list[list[int]]:
    rows = run(transitions(TABLE), recipe, (0,), max_new_tokens=tokens, **more)
    return [list(row.generated) for row in rows]


@pytest.mark.parametrize(
    ("recipe", "wanted"),
    [
        ("greedy", [1, 2, 0, 1, 2, 0]),
        # The 2 that began it loses weight, not the 0 that ended it.
        ('ban_phrases(["2 0"]) | greedy', [1, 0, 1, 0, 1, 2]),
        ('ban_phrases(["1 2"]) | greedy', [2, 0, 2, 0, 2, 0]),
        # 1 leads to 2, and 2 to 0: both lose weight wherever 0 could have gone on with them.
        ('ban_phrases(["1 2", "2 0"]) | greedy', [0, 0, 0, 0, 0, 1]),
        ('ban_phrases(expressions=["[12] 0"]) | greedy', [0, 0, 0, 0, 1, 2]),
        # ``\b`` is not known to hold before something follows, or the text ends.
        (r'ban_phrases(expressions=["1\\b"]) | greedy', [2, 0, 2, 0, 2, 0]),
        ('ban_phrases(["1 2"], tries=0) | greedy', [1, 2, 0, 1, 2, 0]),
        ('ban_phrases(["1 2"], tries=1) | greedy', [2, 0, 1, 2, 0, 1]),  # and left from then on
        # Made less likely three times: 0.5, 0.397, 0.315, 0.251, of which the last is below 0.3.
        ('ban_phrases(["1 2"], strength=0.01) | greedy', [2, 0, 2, 0, 2, 0]),
    ],
)
def test_what_greedy_writes_instead(recipe: str, wanted: list[int]) -> None:
    assert texts(recipe) == [wanted]


def reference(phrase: tuple[int, ...], seed: int, tokens: int, tries: int) -> list[int]:
    """Draws with a list of tokens made less likely at each place, from the text alone."""
    text: list[int] = []
    lowered: dict[int, list[int]] = {}
    while len(text) < tokens:
        scores = TABLE[text[-1] if text else 0].log()
        for token in lowered.get(len(text), []):
            scores[token] -= 10 * math.log(10)
        text.append(int((scores + gumbel(seed, 0, len(text), 4)).argmax()))
        if tuple(text[-len(phrase) :]) == phrase and tries:
            tries -= 1
            place = len(text) - len(phrase)
            lowered = {at: tokens for at, tokens in lowered.items() if at <= place}
            lowered.setdefault(place, []).append(phrase[0])
            del text[place:]
    return text


@given(st.lists(st.integers(0, 3), min_size=1, max_size=3), st.integers(0, 300))
def test_drawn_anew_with_the_same_noise(phrase: list[int], seed: int) -> None:
    written = " ".join(map(str, phrase))
    recipe = f'ban_phrases(["{written}"], tries=8) | sample'
    assert texts(recipe, 12, seed=seed) == [reference(tuple(phrase), seed, 12, 8)]


def test_each_of_several_texts_goes_back_by_itself() -> None:
    recipe = 'ban_phrases(["1 2", "0 0"]) | sample(5)'
    together = texts(recipe, 10, seed=4)
    assert sum("1 2" in " ".join(map(str, text)) for text in together) == 0
    assert together[0] == texts('ban_phrases(["1 2", "0 0"]) | sample', 10, seed=4)[0]
    assert len({tuple(text) for text in together}) > 2


def test_it_never_goes_on_for_ever_and_counts_what_it_leaves() -> None:
    """Every token is banned: the text stands in the end, and the figures say so."""
    recipe = Recipe.parse('ban_phrases(["0", "1", "2", "3"]) | greedy')
    (row,) = run(transitions(TABLE), recipe, (0,), max_new_tokens=4)
    assert len(row.generated) == 4
    (processor,), _ = recipe.build(context(4))
    state = processor.initial_state()
    text: tuple[int, ...] = ()
    for _ in range(1000):
        if len(text) == 4:
            break
        rewind = processor.rewind(Row((0, *text, 1), 1, state=state))
        assert isinstance(rewind, Rewind)
        state, text = rewind.state, (*text, 1) if not rewind.count else text
    assert processor.measure(Row((0, *text), 1, state=state)) == {
        "taken back": 40.0,  # ten times in each place
        "left standing": 4.0,
    }


@pytest.mark.parametrize(
    "steps",
    [
        'ban_phrases(["0", "1", "2", "3"], tries=1000)',
        r'ban_phrases(expressions=["[\\s\\S]"])',
        'ban_phrases(expressions=["(.| )+"])',
        'ban_phrases(expressions=[".{7}", "^.", ".$"])',
        r'ban_phrases(expressions=["\\b", "(?<=1)", "(?=2)", "(?!1)(?=.)|2"])',
        'ban_phrases([" "], strength=0.01)',
        'top_k(1) | ban_phrases(["0", "1", "2", "3"])',
        # Each takes back where the other counted what it had tried.
        'ban_phrases(expressions=["."], tries=20) | ban_phrases(expressions=[".{5}"], tries=20)',
        'ban_phrases(expressions=[".{9}"]) | ban_phrases(["1"]) | ban_phrases(expressions=["^.."])',
    ],
)
@pytest.mark.parametrize("search", ["greedy", "sample(2)"])
def test_whatever_is_listed_a_text_ends(
    steps: str, search: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text of 12 tokens, after no more rewinds than all steps may try together."""
    recipe = Recipe.parse(f"{steps} | {search}")
    texts = 2 if search == "sample(2)" else 1
    most = texts * sum(getattr(step.params, "tries", 0) for step in recipe.steps)
    times = 0

    def counted(self: BanPhrases, row: Row) -> Rewind | None:
        nonlocal times
        asked = REWIND(self, row)
        times += bool(asked and asked.count)
        assert times <= most
        return asked

    monkeypatch.setattr(BanPhrases, "rewind", counted)
    rows = run(transitions(TABLE), recipe, (0,), max_new_tokens=12)
    assert all(row.done or len(row.generated) == 12 for row in rows)


def test_after_one_that_stays_others_are_still_looked_for() -> None:
    """One token ends two phrases, of which the first may not be taken back any more."""
    recipe = Recipe.parse('ban_phrases(["0 1", "1"], strength=0.01) | greedy')
    (processor,), _ = recipe.build(context(4))
    state = processor.initial_state()
    state = replace(state, lowered=(((0, 0), 10),))
    rewind = processor.rewind(Row((3, 0, 1), 1, state=state))
    assert rewind is not None and rewind.count == 0 and rewind.state.standing == 1
    rewind = processor.rewind(Row((3, 0, 1, 1), 1, state=rewind.state))
    assert rewind is not None and (rewind.count, rewind.why) == (1, '"1" is on the list.')


def test_what_may_yet_be_taken_back_is_not_settled() -> None:
    recipe = Recipe.parse('ban_phrases(["1 2 3", "5 6"], expressions=["7( 8)*9"]) | greedy')
    (processor,), _ = recipe.build(context(10))

    def settled(*tokens: int) -> int:
        row = Row((0, *tokens), 1, state=processor.initial_state())
        return processor.settled(row)

    assert settled() == 0
    assert settled(4, 4) == 2
    assert settled(4, 1) == 1 and settled(4, 1, 2) == 1
    assert settled(4, 1, 2, 4) == 4
    assert settled(4, 7, 8, 8) == 1
    # Going back to before the 1 leads to where 5 may be followed by 6.
    assert settled(4, 5, 1) == 1


@pytest.mark.parametrize(
    ("text", "ended", "found"),
    [
        ("a cat", False, None),
        ("a cat", True, "cat"),
        ("a cat ", False, "cat"),
        ("a cats", True, None),
        ("He DELVES", False, "DELVE"),
        ("x12", False, "x12"),
        ("naïve", False, None),
    ],
)
def test_a_match_counts_once_nothing_undoes_it(text: str, ended: bool, found: str | None) -> None:
    match = Phrases(("delve",), (r"\bcat\b", "x[0-9]+"), True).first(text, 0, ended=ended)
    assert (match and text[match.start : match.end]) == found


def test_an_expression_that_takes_for_ever_ends_its_own_column() -> None:
    with pytest.raises(Refusal, match="takes too long; make it simpler"):
        Phrases((), ("(a|aa)+$",), True).first("a" * 60 + "b", 0, ended=False)


@pytest.mark.parametrize(
    ("recipe", "error"),
    [
        ('ban_phrases(expressions=["("]) | sample', "is no regular expression"),
        ('ban_phrases(expressions=["a*"]) | sample', "matches where nothing is written"),
        ('ban_phrases(["a"]) | beam', "it takes tokens back, .*: greedy, .*sample"),
        ('ban_phrases(["a"]) | manual', "it takes tokens back"),
        ('ban_phrases(["a"]) | contrastive', "it takes tokens back"),
    ],
)
def test_what_it_refuses(recipe: str, error: str) -> None:
    with pytest.raises(RecipeError, match=error):
        Recipe.parse(recipe).build(context(10))
    Recipe.parse("ban_phrases | beam").build(context(10))  # switched off


def test_the_token_that_writes_a_character() -> None:
    def decode(tokens: object) -> str:
        return "".join(["ab", "", "c", "def"][token] for token in tokens)  # type: ignore

    found = [token_at(decode, (0, 1, 2, 3), character) for character in range(6)]
    assert found == [0, 0, 2, 3, 3, 3]
