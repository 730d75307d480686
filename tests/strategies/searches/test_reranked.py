"""Several samples, ranked by likelihood, by similarity to the others, or by votes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from strategies import Recipe, RecipeError, Row, Search
from strategies.ops.answers import answers
from strategies.ops.likeness import Pieces, chrf, overlap
from tests.strategies.driver import context, run, transitions

TABLE = torch.rand(8, 8, generator=torch.Generator().manual_seed(3)).softmax(-1)


def built(recipe: str, **about: Any) -> Search:
    return Recipe.parse(recipe).build(replace(context(40), **about))[1]


@pytest.mark.parametrize("recipe", ["best_of(5)", "mbr(5)", "self_consistency(5)"])
def test_its_texts_are_those_of_sample(recipe: str) -> None:
    model = transitions(TABLE)
    drawn = run(model, "temperature(0.7) | sample(5)", (1,), eos=(0,), seed=4)
    mine = run(model, f"temperature(0.7) | {recipe}", (1,), eos=(0,), seed=4)
    assert sorted(row.generated for row in mine) == sorted(row.generated for row in drawn)
    for row in mine:  # under the model, not under the recipe
        pairs = pairwise((1, *row.generated))
        assert row.score == pytest.approx(sum(float(TABLE[a, b].log()) for a, b in pairs), abs=1e-5)


def test_the_likeliest_comes_first() -> None:
    model = transitions(TABLE)
    by_token = run(model, "best_of(6)", (1,), eos=(0,), seed=4)
    means = [row.score / len(row.generated) for row in by_token]
    assert means == sorted(means, reverse=True)
    sums = [row.score for row in run(model, 'best_of(6, by="sum")', (1,), eos=(0,), seed=4)]
    assert sums == sorted(sums, reverse=True)
    search = built("best_of(6)")
    assert search.measure(by_token[0], by_token) == {"mean log-probability": means[0]}


def rows(*texts: str, done: bool = True, scores: tuple[float, ...] = ()) -> list[Row]:
    scores = scores or (0.0,) * len(texts)
    return [
        Row((0, *(ord(c) for c in text)), 1, score=score, sample=n, done=done)
        for n, (text, score) in enumerate(zip(texts, scores, strict=True))
    ]


def letters(tokens: Any) -> str:
    return "".join(map(chr, tokens))


def test_the_text_that_is_most_like_the_others_comes_first() -> None:
    search = built("mbr(4)", decode=letters)
    four = rows("the cat sat", "a dog ran off", "the cat sits", "the cat sat down")
    ordered = search.order(four)
    assert [row.sample for row in ordered] == [3, 0, 2, 1]
    alike = [search.measure(row, four)["likeness"] for row in ordered]
    assert alike == sorted(alike, reverse=True)
    pieces = [Pieces.of(letters(row.generated)) for row in four]
    wanted = sum(chrf(pieces[3], pieces[n]) for n in (0, 1, 2)) / 3
    assert alike[0] == pytest.approx(wanted)
    running = rows("b", "a", done=False)
    assert [row.sample for row in search.order(running[::-1])] == [0, 1]
    assert search.measure(running[0], running) == {}


@pytest.mark.parametrize(
    ("text", "reference", "score"),
    [
        ("abc", "abc", 1.0),
        ("abc", "xyz", 0.0),
        # Precision 1, 1 of single letters and pairs; recall 2/3 and 1/2: F2 of 1 and 7/12.
        ("ab", "abc", 5 * (7 / 12) / (4 + 7 / 12)),
        ("a b", "ab", 1.0),  # spaces do not count
        ("", "", 1.0),
        ("", "abc", 0.0),
    ],
)
def test_chrf_by_hand(text: str, reference: str, score: float) -> None:
    assert chrf(Pieces.of(text), Pieces.of(reference)) == pytest.approx(score)


def test_tokens_in_common() -> None:
    assert overlap((1, 2, 2), (2, 3)) == pytest.approx(2 / 5)
    assert overlap((), ()) == 1.0 and overlap((), (1,)) == 0.0


@pytest.mark.parametrize(
    ("text", "expression", "found"),
    [
        ("12 and 3 make 1,500.", "", "1500"),
        ("so -4.0", "", "-4"),
        ("none", "", None),
        ("Answer: B. Answer: C", r"Answer: (\w)", "C"),
        ("yes no yes", "yes|no", "yes"),
    ],
)
def test_the_answer_that_a_text_comes_to(text: str, expression: str, found: str | None) -> None:
    assert answers([text, "", text], expression) == [found, None, found]


def test_most_votes_come_first_and_of_those_the_likeliest() -> None:
    search = built("self_consistency(5)", decode=letters)
    five = rows("7", "is 12", "12.0", "no", "7 or 12", scores=(-0.1, -5, -1, -0.1, -9))
    assert [row.sample for row in search.order(five)] == [2, 1, 4, 0, 3]
    votes = [search.measure(row, five)["votes"] for row in five]
    assert votes == [1, 3, 3, 0, 3]
    with pytest.raises(RecipeError, match="is no regular expression"):
        Recipe.parse('self_consistency(answer="(")')
