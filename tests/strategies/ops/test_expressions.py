"""Regular expressions from anyone: none can use up the memory or the time of others."""

from __future__ import annotations

from itertools import count

import pytest
import regex

from strategies import Recipe, RecipeError, Refusal
from strategies.ops import expressions
from strategies.ops.answers import answers
from strategies.ops.expressions import SECONDS, read
from strategies.ops.phrases import Phrases


@pytest.mark.parametrize(
    "expression",
    [
        "((a{999}){999}){999}",  # a billion characters
        "(?:(?:a|b){9999}){9999}",
        "(?x) (?: a {999} ) {999}",
        "(?x)(a{999})#[\n{999}",
        "(?:a{999}(?#[)){999}",
        "(?:a{999}[(]){999}",
        "(?=(?:(?=a{999}){999})){999}",
        "(?:(?:a{300,}){300,}){300,}",
        "(?:a{99}){99}{99}",
        "(?:a{99}+)+{999}",
        "a{1000000}",
    ],
)
def test_repeats_are_not_written_out_without_end(
    expression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regex, "compile", None)  # it would take gigabytes
    with pytest.raises(ValueError, match="repeats too much; let it repeat less"):
        read(expression)
    written = expression.replace("\\", "\\\\").replace("\n", "\\n")
    for recipe in (
        f'ban_phrases(expressions=["{written}"]) | sample',
        f'self_consistency(answer="{written}")',
    ):
        with pytest.raises(RecipeError, match="repeats too much"):
            Recipe.parse(recipe)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", "0123abcd-0123-4567-89ab-0123456789ab"),
        (r"\+?\d{1,3}(?: \d{2,4}){3}", "+49 123 456 78"),
        (r"\bnot [^.!?]{3,60} but\b", "not this one but"),
        (r".{5000}", "a" * 5000),
        (r"(?:\w{2,20} ){3,2000}", "one two three "),
    ],
)
def test_usual_repeats_are(expression: str, text: str) -> None:
    assert read(expression).fullmatch(text)


def test_what_is_nested_too_deeply_is_told() -> None:
    with pytest.raises(ValueError, match="is no regular expression: it is nested too deeply"):
        read("(" * 20_000 + ")" * 20_000)


class Clock:
    """Seconds of a thread whose every search takes so many."""

    def __init__(self, each: float) -> None:
        self._looks, self._each = count(), each

    def __call__(self) -> float:
        return (next(self._looks) + 1) // 2 * self._each


@pytest.mark.parametrize(("listed", "steps"), [(1, 10), (5, 2), (19, 0)])
def test_all_searches_of_a_column_have_one_time(
    listed: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise nineteen that are each just quick enough would delay everybody for a minute."""
    phrases = Phrases((), ["never"] * listed, True)
    monkeypatch.setattr(expressions, "thread_time", Clock(SECONDS / 11 + 0.002))
    for _ in range(steps):
        assert phrases.first("a text", 0, ended=False) is None
    with pytest.raises(Refusal, match="takes too long; make it simpler"):
        phrases.first("a text", 0, ended=False)


def test_quick_searches_of_a_long_text_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expressions, "thread_time", Clock(0.001))
    phrases = Phrases((), ["never"], True)
    assert all(phrases.first("a text", 0, ended=False) is None for _ in range(2_000))


def test_the_texts_of_one_vote_have_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expressions, "thread_time", Clock(0.1))
    assert answers(["1", "2"]) == ["1", "2"]
    with pytest.raises(Refusal, match="takes too long"):
        answers(["1"] * 20)


def test_an_expression_that_never_ends_is_given_up() -> None:
    with pytest.raises(Refusal, match="takes too long"):
        answers(["a" * 60], "(?:a|aa)+b")
