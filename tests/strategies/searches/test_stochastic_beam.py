"""Stochastic beam search draws whole texts without replacement, by the exact law."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise, permutations, product

import pytest
import torch
from scipy.stats import chisquare

from strategies import Row
from tests.strategies.driver import run, transitions, written

EOS, NEW, SEEDS = 2, 3, 1000
TABLE = torch.tensor(
    [
        [0.2, 0.35, 0.45],
        [0.3, 0.6, 0.1],
        [0.0, 0.0, 1.0],
    ]
)
Text = tuple[int, ...]


def law(temperature: float = 1.0) -> dict[Text, float]:
    """Every text from token 0, with its probability."""
    heated = TABLE.double() ** (1 / temperature)
    heated /= heated.sum(-1, keepdim=True)
    texts = [
        text
        for length in range(1, NEW + 1)
        for text in product(range(3), repeat=length)
        if EOS not in text[:-1] and (text[-1] == EOS or length == NEW)
    ]
    return {
        text: float(torch.stack([heated[a, b] for a, b in pairwise((0, *text))]).prod())
        for text in texts
    }


@cache
def drawn(recipe: str) -> list[list[Row]]:
    """For each seed the texts, and behind them those that others overtook."""
    return [
        run(transitions(TABLE), recipe, (0,), eos=(EOS,), max_new_tokens=NEW, seed=seed)
        for seed in range(SEEDS)
    ]


def fit(recipe: str, beams: int, temperature: float) -> float:
    """The chi-square p-value of the texts in order: each next one has its share of what is left."""
    one = law(temperature)
    found = Counter(tuple(row.generated for row in rows[:beams]) for rows in drawn(recipe))
    counts, wanted = [], []
    for texts in permutations(one, beams):
        chance, left = 1.0, 1.0
        for text in texts:
            chance *= one[text] / left
            left -= one[text]
        if chance * SEEDS >= 5:
            counts.append(found[texts])
            wanted.append(chance * SEEDS)
    counts.append(SEEDS - sum(counts))  # the rare ones together
    wanted.append(SEEDS - sum(wanted))
    return float(chisquare(counts, wanted).pvalue)


def test_texts_are_drawn_in_order_without_replacement() -> None:
    assert fit("stochastic_beam(2)", 2, 1.0) > 1e-3
    assert fit("stochastic_beam(3)", 3, 1.0) > 1e-3
    assert fit("temperature(0.6) | stochastic_beam(2)", 2, 0.6) > 1e-3
    assert fit("stochastic_beam(2)", 2, 0.75) < 1e-3, "a wrong law must be noticed"


def test_each_text_is_among_them_as_often_as_it_should_be() -> None:
    """Inclusion in two draws is p, or another first and then p of what it left."""
    one, found = law(), Counter[Text]()
    for rows in drawn("stochastic_beam(2)"):
        found.update(row.generated for row in rows[:2])
    for text, p in one.items():
        chance = p + sum(q * p / (1 - q) for other, q in one.items() if other != text)
        spread = (SEEDS * chance * (1 - chance)) ** 0.5
        assert abs(found[text] - SEEDS * chance) < 4 * spread, text


def test_no_text_is_drawn_twice() -> None:
    overtaken = 0
    for rows in drawn("stochastic_beam(3)"):
        assert len({row.generated for row in rows}) == len(rows) >= 3
        overtaken += len(rows) > 3
    assert overtaken, "some ended text must have been overtaken by two of one beginning"


def test_as_many_beams_as_texts_draw_each_once() -> None:
    every = law()
    for seed in range(20):
        rows = run(
            transitions(TABLE),
            "stochastic_beam(16)",
            (0,),
            eos=(EOS,),
            max_new_tokens=NEW,
            seed=seed,
        )
        assert sorted(row.generated for row in rows) == sorted(every)


def test_one_beam_is_sampling() -> None:
    table = torch.randn(40, 40, generator=torch.Generator().manual_seed(3)).softmax(-1)
    for seed in range(40):
        mine, plain = (
            written(run(transitions(table), search, (1,), eos=(EOS,), seed=seed))
            for search in ("stochastic_beam(1)", "sample")
        )
        assert mine == plain


def test_rows_keep_their_probability_and_a_falling_noisy_score() -> None:
    """The best child inherits its parent's noise, exactly; the beginning's is 0 by definition."""
    for seed in range(50):
        rows = run(transitions(TABLE), "stochastic_beam(3)", (0,), eos=(EOS,), seed=seed)
        noisy = [row.state for row in rows]
        assert noisy[0] == 0.0 and noisy == sorted(noisy, reverse=True)
        for row in rows:
            chances = [float(TABLE[a, b].log()) for a, b in pairwise((0, *row.generated))]
            assert row.score == pytest.approx(sum(chances), abs=1e-5)
