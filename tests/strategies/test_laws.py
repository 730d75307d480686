"""Laws that hold whatever the scores: found counter-examples are minimal ones."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strategies import Recipe, RecipeStep, Row
from strategies.registry import registry
from tests.strategies.cases import PROCESSORS
from tests.strategies.driver import Logits, begun, context, run, transitions

scores = st.integers(2, 40).flatmap(
    lambda vocab: st.lists(
        st.one_of(st.floats(-30, 30, width=32), st.just(-float("inf"))),
        min_size=vocab,
        max_size=vocab,
    ).filter(lambda row: max(row) > -float("inf"))
)
tables = st.builds(
    lambda size, seed, sharp: (
        torch.randn(size, size, generator=torch.Generator().manual_seed(seed)) * sharp
    ).softmax(-1),
    st.integers(2, 6),
    st.integers(0, 10**6),
    st.sampled_from([0.3, 1.0, 3.0]),
)
small = st.builds(
    lambda seed: torch.randn(4, 4, generator=torch.Generator().manual_seed(seed)).softmax(-1),
    st.integers(0, 10**6),
)


def shape(written: str, row: list[float]) -> torch.Tensor:
    """What a recipe's processors make of one row."""
    out = torch.tensor([row])
    text = Row((0, 1, 0, 1), 2)
    for processor in Recipe.parse(f"{written} | greedy").build(context(len(row)))[0]:
        out = processor(out, begun(processor, [text]))
    return out[0]


@given(scores)
def test_top_k_of_one_min_p_of_one_and_top_p_of_none_are_one(row: list[float]) -> None:
    best = torch.tensor(row) == max(row)
    for written in ("top_k(1)", "min_p(1)"):
        assert torch.equal(shape(written, row) > -torch.inf, best)
    # top-p compares probabilities, where two scores may round to one.
    assert (shape("top_p(0)", row)[best] > -torch.inf).all()


@given(tables, st.integers(0, 99))
def test_top_k_of_one_no_temperature_and_one_beam_are_greedy(
    table: torch.Tensor, seed: int
) -> None:
    model = transitions(table)
    greedy = run(model, "greedy", (1,), eos=(0,))[0]
    for recipe in (
        "top_k(1) | sample",
        "temperature(0) | sample",
        "beam(1)",
        "beam(1, length_penalty=2.0, early_stopping=True)",
    ):
        assert run(model, recipe, (1,), eos=(0,), seed=seed)[0].tokens == greedy.tokens


@pytest.mark.parametrize("strategy", PROCESSORS, ids=lambda strategy: strategy.info.id)
@given(row=scores)
def test_neutral_steps_change_nothing(strategy: type, row: list[float]) -> None:
    step = RecipeStep(strategy.info.id, strategy.Params(**strategy.neutral))
    if strategy.neutral:
        assert torch.equal(shape(str(step), row), torch.tensor(row))


@given(scores, st.floats(0.01, 1), st.floats(0.01, 1))
def test_truncations_nest(row: list[float], a: float, b: float) -> None:
    """A stricter setting keeps a subset, always with the likeliest token in it."""
    low, high = sorted((a, b))
    for strict, loose in (
        (f"top_p({low})", f"top_p({high})"),
        (f"min_p({high})", f"min_p({low})"),
        (f"top_k({1 + int(low * 9)})", f"top_k({1 + int(high * 9)})"),
    ):
        few, many = shape(strict, row) > -torch.inf, shape(loose, row) > -torch.inf
        assert not (few & ~many).any()
        assert few[torch.tensor(row).argmax()]


@given(scores, st.floats(-5, 5))
def test_truncations_ignore_a_shift(row: list[float], shift: float) -> None:
    """Log-softmax values, which beams feed, are cut where raw scores are."""
    rounded = [round(score * 8) / 8 if score > -99 else score for score in row]
    moved = [score + round(shift) for score in rounded]
    for written in ("top_k(3)", "min_p(0.3)", "top_p(0.7)"):
        here, there = shape(written, rounded), shape(written, moved)
        assert torch.equal(here > -torch.inf, there > -torch.inf)


def log_probability(table: torch.Tensor, text: tuple[int, ...]) -> float:
    return sum(float(table[a, b].log()) for a, b in pairwise(text))


@given(small, st.sampled_from([-1.0, 0.0, 1.0, 2.0]))
def test_an_exhaustive_beam_finds_the_best_text(table: torch.Tensor, penalty: float) -> None:
    """Four tokens, three steps, sixteen beams: nothing is ever pruned."""
    recipe = f'beam(16, length_penalty={penalty}, early_stopping="never")'
    best = run(transitions(table), recipe, (1,), eos=(0,), max_new_tokens=3)[0]
    texts = [
        text
        for length in (1, 2, 3)
        for text in product(range(4), repeat=length)
        if 0 not in text[:-1] and (text[-1] == 0 or length == 3)
    ]
    ranked = {text: log_probability(table, (1, *text)) / len(text) ** penalty for text in texts}
    assert ranked[best.generated] == pytest.approx(max(ranked.values()), abs=1e-5)


@given(tables, st.integers(1, 6), st.integers(1, 5))
def test_a_beams_score_is_its_log_probability(table: torch.Tensor, beams: int, steps: int) -> None:
    for row in run(transitions(table), f"beam({beams})", (1,), eos=(0,), max_new_tokens=steps):
        assert row.score == pytest.approx(log_probability(table, row.tokens), abs=1e-4)


def test_every_registered_search_is_deterministic() -> None:
    table = torch.randn(6, 6, generator=torch.Generator().manual_seed(2)).softmax(-1)
    model: Logits = transitions(table)
    for name, strategy in registry().strategies.items():
        if strategy.kind == "search":
            assert run(model, name, (1,), seed=3) == run(model, name, (1,), seed=3)
