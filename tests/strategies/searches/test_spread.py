"""Arithmetic sampling decodes evenly spaced numbers; SMC corrects what a mask leads into."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from strategies import Info, Processor, Recipe, Row
from strategies.ops.noise import uniform
from strategies.searches.arithmetic import Code, _decoded
from tests.plugins import installed
from tests.strategies.driver import context, run, transitions

TABLE = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]])


def decoded(code: float, tokens: int) -> list[int]:
    """The text whose share of [0, 1) holds the number, by intervals of intervals."""
    low, width, last, text = 0.0, 1.0, 0, []
    for _ in range(tokens):
        for token, p in enumerate(TABLE[last].tolist()):
            if code < low + p * width or token == 2:
                width *= p
                break
            low += p * width
        text.append(last := token)
    return text


@pytest.mark.parametrize("seed", range(8))
def test_the_texts_are_those_of_evenly_spaced_numbers(seed: int) -> None:
    rows = run(transitions(TABLE), "arithmetic(5)", (0,), max_new_tokens=6, seed=seed)
    shift = uniform(seed, 0, 0, "arithmetic shift")
    codes = [((n + 1) / 6 + shift) % 1 for n in range(5)]
    assert [list(row.generated) for row in rows] == [decoded(code, 6) for code in codes]


def test_each_text_by_itself_is_a_plain_sample() -> None:
    found = Counter(
        row.generated
        for seed in range(150)
        for row in run(transitions(TABLE), "arithmetic(4)", (0,), max_new_tokens=2, seed=seed)
    )
    texts = [(a, b) for a in range(3) for b in range(3)]
    wanted = (TABLE.double()[0][:, None] * TABLE.double()).flatten()
    wanted = (600 * wanted / wanted.sum()).tolist()
    assert chisquare([found[text] for text in texts], wanted).pvalue > 0.01


def test_they_differ_more_than_samples_do() -> None:
    def distinct(recipe: str) -> int:
        runs = (run(transitions(TABLE), recipe, (0,), max_new_tokens=2, seed=s) for s in range(40))
        return sum(len({row.generated for row in rows}) for rows in runs)

    assert distinct("arithmetic(6)") > 1.15 * distinct("sample(6)")


def test_a_long_text_never_runs_out_of_digits() -> None:
    (row,) = run(transitions(TABLE), "arithmetic(1)", (0,), max_new_tokens=400)
    pairs = Counter(zip((0, *row.generated), row.generated, strict=False))
    after = [pairs[1, token] for token in range(3)]
    wanted = (sum(after) * TABLE.double()[1] / TABLE.double()[1].sum()).tolist()
    assert chisquare(after, wanted).pvalue > 0.001


def test_removed_tokens_have_no_share() -> None:
    masses = torch.tensor([0.0, 0.4, 0.4, 1.0, 1.0], dtype=torch.float64)
    for value, token in ((0.0, 1), (0.39, 1), (0.4, 3), (1 - 2**-53, 3)):
        assert _decoded(masses, Code(value, 0.0))[0] == token


# A 1 is likely, and hardly ever followed by another odd token.
CORNER = torch.tensor([[0.1, 0.7, 0.2], [0.45, 0.1, 0.45], [0.25, 0.25, 0.5]])


class Even(Processor):
    """Only texts of two tokens whose sum is even: what a mask learns of at the second alone."""

    info = Info(id="even", title="Even", summary="For a test.", formula="x", source="a test")

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        out = scores.clone()
        for i, row in enumerate(rows):
            if row.generated:
                odd = [t for t in range(scores.shape[-1]) if (t + row.generated[-1]) % 2]
                out[i, odd] = -torch.inf
        return out


@pytest.fixture(autouse=True)
def even() -> Iterator[None]:
    with installed(Even):
        yield


def shares(recipe: str, seeds: int, read: Callable[[list[Row]], list[tuple[float, Row]]]) -> list:
    total = Counter()
    for seed in range(seeds):
        rows = run(transitions(CORNER), recipe, (0,), max_new_tokens=2, seed=seed)
        for weight, row in read(rows):
            total[row.generated] += weight / seeds
    texts = [(a, b) for a in range(3) for b in range(3) if (a + b) % 2 == 0]
    return [total[text] for text in texts]


def weighted(rows: list[Row]) -> list[tuple[float, Row]]:
    total = sum(math.exp(row.score) for row in rows)
    return [(math.exp(row.score) / total, row) for row in rows]


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_smc_draws_from_the_model_among_the_texts_that_fit(threshold: float) -> None:
    texts = [(a, b) for a in range(3) for b in range(3) if (a + b) % 2 == 0]
    fit = [float(CORNER[0, a] * CORNER[a, b]) for a, b in texts]
    wanted = [p / sum(fit) for p in fit]
    found = shares(f"even | smc(16, threshold={threshold})", 60, weighted)
    assert found == pytest.approx(wanted, abs=0.05)
    masked = shares("even | sample(16)", 60, lambda rows: [(1 / 16, row) for row in rows])
    off = sum(abs(a - b) for a, b in zip(masked, wanted, strict=True))
    assert off > 3 * sum(abs(a - b) for a, b in zip(found, wanted, strict=True))


def test_smc_shows_each_texts_weight_and_never_more_texts_than_asked_for() -> None:
    for seed in range(10):
        rows = run(
            transitions(TABLE), "temperature(2) | smc(6)", (1,), eos=(0,), max_new_tokens=12,
            seed=seed,
        )  # fmt: skip
        _, search = Recipe.parse("smc(6)").build(context(3))
        assert len(rows) == 6
        weights = [search.measure(row, rows)["weight"] for row in rows]
        assert sum(weights) == pytest.approx(1) and weights == sorted(weights, reverse=True)
        assert len({row.sample for row in rows}) == 6
