"""Sampling draws from the exact distribution; the tests are statistical, their seeds fixed."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
import torch
from scipy.stats import chi2_contingency, chisquare

from strategies import Recipe, Row, Step
from strategies.ops.noise import gumbel
from tests.strategies.driver import context, run, transitions

SURE = 1e-3  # a right sampler falls below once in a thousand seeds, and the seeds are fixed
LOGITS = torch.tensor([[2.0, 1.0, 0.5, 0.0, -0.5, -1.0, -3.0, -9.0]])
TABLE = torch.tensor([[0.1, 0.6, 0.3], [0.5, 0.25, 0.25], [0.05, 0.15, 0.8]], dtype=torch.float64)


def draws(recipe: str, seeds: range) -> Counter[int]:
    """First tokens of 64 texts a seed."""
    processors, search = Recipe.parse(recipe).build(context(8))
    row, scores = Row((0,), 1), LOGITS
    for processor in processors:
        scores = processor(scores, [row])
    found: Counter[int] = Counter()
    for seed in seeds:
        step = Step(
            index=0,
            rows=[row],
            scores=scores,
            noise=lambda sample, seed=seed: gumbel(seed, sample, 0, 8),
            ends=lambda row, token: False,
        )
        found.update(move.token for move in search.advance(step))
    return found


def fits(found: Counter[int], expected: torch.Tensor) -> float:
    """The chi-square p-value; tokens of no probability must not be drawn at all."""
    assert not any(found[token] for token in range(8) if expected[token] == 0)
    total = sum(found.values())
    kept = [token for token in range(8) if expected[token] * total >= 5]
    rare = [token for token in range(8) if 0 < expected[token] * total < 5]
    counts = [found[token] for token in kept]
    wanted = [float(expected[token]) * total for token in kept]
    if rare:
        counts.append(sum(found[token] for token in rare))
        wanted.append(float(sum(expected[token] for token in rare)) * total)
    wanted = [value * sum(counts) / sum(wanted) for value in wanted]
    return float(chisquare(counts, wanted).pvalue)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("sample(64)", LOGITS[0].double().softmax(-1)),
        ("temperature(0.7) | sample(64)", (LOGITS[0].double() / 0.7).softmax(-1)),
        ("temperature(1.8) | sample(64)", (LOGITS[0].double() / 1.8).softmax(-1)),
        (
            "temperature(1.5) | top_k(5) | sample(64)",
            torch.cat(((LOGITS[0, :5].double() / 1.5).softmax(-1), torch.zeros(3))),
        ),
        (
            "top_p(0.8) | sample(64)",
            torch.cat((LOGITS[0, :3].double().softmax(-1), torch.zeros(5))),
        ),
    ],
)
def test_one_draw(recipe: str, expected: torch.Tensor) -> None:
    found = draws(recipe, range(60))
    assert sum(found.values()) == 64 * 60
    assert fits(found, expected) > SURE


def test_a_wrong_distribution_would_be_noticed() -> None:
    found = draws("temperature(0.9) | sample(64)", range(60))
    assert fits(found, LOGITS[0].double().softmax(-1)) < SURE


def test_whole_texts() -> None:
    """Three tokens in a row have the product of their probabilities."""
    found: Counter[tuple[int, ...]] = Counter()
    for seed in range(40):
        rows = run(transitions(TABLE), "sample(64)", (0,), max_new_tokens=3, seed=seed)
        found.update(row.generated for row in rows)
    texts = list(product(range(3), repeat=3))
    expected = [TABLE[0, a] * TABLE[a, b] * TABLE[b, c] for a, b, c in texts]
    counts = [found[text] for text in texts]
    total = sum(counts)
    assert total == 40 * 64
    assert chisquare(counts, [float(p) * total for p in expected]).pvalue > SURE


@pytest.mark.parametrize("changed", ["seed", "sample", "position"])
def test_draws_are_independent(changed: str) -> None:
    """Tokens drawn at neighbouring seeds, samples and positions are independent."""
    scores = torch.tensor([0.5, 0.0, -0.5])
    table = [[0] * 3 for _ in range(3)]
    for number in range(3000):
        at = {"seed": number, "sample": 1, "position": 2}
        at[changed] = 2 * number
        here = int((scores + gumbel(**at, size=3)).argmax())
        at[changed] += 1
        table[here][int((scores + gumbel(**at, size=3)).argmax())] += 1
    assert chi2_contingency(table).pvalue > SURE


def test_each_text_keeps_its_own_luck() -> None:
    """Text i is the same however many others are drawn, and whichever of them have ended."""
    several = run(transitions(TABLE), "sample(9)", (0,), eos=(2,), max_new_tokens=8, seed=4)
    assert [row.sample for row in several] == list(range(9))
    assert len({row.generated for row in several}) > 5
    assert len({len(row.generated) for row in several}) > 2
    for n in (1, 2, 5):
        fewer = run(transitions(TABLE), f"sample({n})", (0,), eos=(2,), max_new_tokens=8, seed=4)
        assert [row.tokens for row in fewer] == [row.tokens for row in several[:n]]


def test_recipes_with_one_seed_part_only_where_a_setting_changed_the_choice() -> None:
    """Top-k that removes none of the drawn tokens leaves the text as it was."""
    for seed in range(20):
        plain = run(transitions(TABLE), "sample", (0,), seed=seed)[0].generated
        cut = run(transitions(TABLE), "top_k(2) | sample", (0,), seed=seed)[0].generated
        parted = next((i for i in range(16) if plain[i] != cut[i]), None)
        if parted is not None:
            before = (0, *plain)[parted]
            assert TABLE[before, plain[parted]] == TABLE[before].min()
