"""Adaptive-p beside llama.cpp's formulas, written with its own two sums."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from strategies import Recipe, RecipeError, Row
from tests.strategies.bridges.test_transformers_processors import NEW, PROMPT, generated
from tests.strategies.cases import INF
from tests.strategies.driver import context, forward, run, transitions
from tests.strategies.processors.test_processors import processor
from tests.tiny import EOS, tiny_llama


def bent(p: float, aim: float) -> float:
    apart = abs(p - aim) / 0.3
    return 5 - 10 * apart * apart / (1 + apart)


@pytest.mark.parametrize(
    ("state", "aim"),
    [
        (0.5, 0.5),
        (0.7, 0.3),
        (0.2, 0.8),
        (1.0, 0.0),
        (-0.4, 1.0),
    ],  # 2 · 0.5 − state, within 0 and 1
)
def test_scores_follow_the_distance_from_the_aim(state: float, aim: float) -> None:
    given = [0.5, 0.3, 0.15, 0.05, 0.0]
    made = processor("adaptive_p(0.5)", 5)
    out = made(torch.tensor([given]).log(), [Row((0,), 1, state=state)])[0].tolist()
    assert out == pytest.approx([*(bent(p, aim) for p in given[:4]), -INF], abs=1e-5)


def test_what_is_chosen_moves_the_aim_the_other_way() -> None:
    """The mean of what was chosen, weighted by the decay; llama.cpp keeps both its sums."""
    decay, target = 0.8, 0.4
    made = processor(f"adaptive_p({target}, decay={decay})", 5)
    state = made.initial_state()
    weighted, total = target / (1 - decay), 1 / (1 - decay)
    for p in (0.9, 0.9, 0.05, 0.3, 1.0, 0.001):
        state = made.observe(state, 3, math.log(p))
        weighted, total = p + decay * weighted, 1 + decay * total
        assert state == pytest.approx(weighted / total)


def test_it_is_told_what_a_token_had_before_it() -> None:
    """Computed by hand, for a recipe whose probabilities are far from the model's."""
    generator = torch.Generator().manual_seed(3)
    table = torch.randn(30, 30, generator=generator).softmax(-1)
    recipe = "min_p(0.1) | adaptive_p(0.1, decay=0.7) | greedy"
    found = run(transitions(table), recipe, (0,), max_new_tokens=40)[0].tokens
    weighted, total, last = 0.1 / 0.3, 1 / 0.3, 0
    for token in found[1:]:
        p = table[last].masked_fill(table[last] < 0.1 * table[last].max(), 0)
        p = (p / p.sum()).tolist()
        aim = min(max(0.2 - weighted / total, 0), 1)
        values = [bent(q, aim) if q > 0 else -INF for q in p]
        assert token == max(range(30), key=values.__getitem__)
        weighted, total, last = p[token] + 0.7 * weighted, 1 + 0.7 * total, token
    assert len(set(found)) > 3


def test_a_higher_target_writes_likelier_tokens() -> None:
    generator = torch.Generator().manual_seed(0)
    table = (torch.randn(60, 60, generator=generator) * 2.5).softmax(-1)
    means = []
    for target in (0.1, 0.3, 0.5):
        recipe = f"min_p(0.02) | adaptive_p({target}) | sample"
        row = run(transitions(table), recipe, (0,), max_new_tokens=400)[0]
        chosen = [float(table[a, b]) for a, b in pairwise(row.tokens)]
        means.append(sum(chosen) / len(chosen))
    assert means[0] < means[1] < means[2]
    assert means[1] == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize("beams", [1, 3])
def test_its_state_follows_its_row_through_generate(beams: int) -> None:
    search = f"beam({beams})" if beams > 1 else "greedy"
    recipe = f"temperature(1.5) | adaptive_p(0.4) | {search}"
    mine = run(forward(tiny_llama(seed=4)), recipe, PROMPT, eos=(EOS,), max_new_tokens=NEW)[0]
    settings = {"num_beams": beams} if beams > 1 else {}
    assert generated(recipe, **settings) == list(mine.tokens)


def test_it_comes_last() -> None:
    with pytest.raises(RecipeError, match="it comes last of the processors"):
        Recipe.parse("adaptive_p | top_k(3) | sample").build(context(9))


@pytest.mark.parametrize("target", [-1, -0.01])
def test_below_0_it_is_switched_off_wherever_it_stands(target: float) -> None:
    """As in llama.cpp, whose default is -1, and in SillyTavern, whose default is -0.01."""
    table = torch.rand(9, 9, generator=torch.Generator().manual_seed(1)).softmax(-1)
    plain, off = (
        run(transitions(table), f"{step}top_k(3) | sample", (0,), max_new_tokens=20, seed=4)
        for step in ("", f"adaptive_p({target}) | ")
    )
    assert off[0].tokens == plain[0].tokens
    assert Recipe.parse(f"adaptive_p({target}) | greedy").steps[0].neutral
