"""SynthID is transformers' own, Gumbel's draws are plain samples; detectors find both."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import chisquare
from transformers import SynthIDTextWatermarkLogitsProcessor

from strategies import Processor, Recipe, RecipeError, Row
from strategies.ops.noise import gumbel_at, keyed
from tests.strategies.driver import context, run, transitions

VOCAB = 300
KEYS = [654, 400, 836, 123, 340, 443, 597, 160, 57, 29]
WRITTEN = f'synthid("{", ".join(map(str, KEYS))}"'
TABLE = torch.randn(VOCAB, VOCAB, generator=torch.Generator().manual_seed(1)).softmax(-1)


def built(recipe: str) -> Processor:
    (made,), _ = Recipe.parse(f"{recipe} | greedy").build(context(VOCAB))
    return made


@pytest.mark.parametrize(("length", "history"), [(5, 1024), (2, 1024), (3, 2)])
def test_synthid_equals_transformers_step_by_step(length: int, history: int) -> None:
    """Over a text with repeated contexts, and with some tokens removed."""
    theirs = SynthIDTextWatermarkLogitsProcessor(
        ngram_len=length,
        keys=KEYS,
        sampling_table_size=2**16,
        sampling_table_seed=0,
        context_history_size=history,
        device=torch.device("cpu"),
    )
    mine = built(f"{WRITTEN}, ngram_len={length}, context_history_size={history})")
    generator = torch.Generator().manual_seed(5)
    text = [3, 1, 4]
    repeated = 0
    for step in range(24):
        scores = torch.randn(1, VOCAB, generator=generator) * 2
        scores[0, step::3] = -torch.inf
        wanted = theirs(torch.tensor([text]), scores.clone())
        found = mine(scores, [Row(tuple(text), 3)])
        repeated += bool(torch.equal(found, scores))
        kept = scores > -torch.inf
        assert bool((found[~kept] == -torch.inf).all())
        near = kept & (wanted > -60)
        torch.testing.assert_close(
            found.log_softmax(-1)[near], wanted.log_softmax(-1)[near], rtol=1e-4, atol=1e-4
        )
        text.append(step % 4)  # so that contexts come again
    assert repeated > (4 if history > 2 else -1)


@pytest.mark.parametrize(
    ("recipe", "figure"),
    [(f"{WRITTEN}) | sample", "SynthID z"), ("gumbel_watermark | sample", "Gumbel z")],
)
def test_a_detector_with_the_key_finds_it_and_no_other(recipe: str, figure: str) -> None:
    written = run(transitions(TABLE), recipe, (1,), max_new_tokens=150, seed=3)[0]
    plain = run(transitions(TABLE), "sample", (1,), max_new_tokens=150, seed=3)[0]
    step = recipe.partition(" |")[0]
    wrong = 'synthid("1, 2, 3, 4, 5")' if "synthid" in step else "gumbel_watermark(7)"
    assert built(step).measure(written)[figure] > 6
    assert abs(built(step).measure(plain)[figure]) < 4
    assert abs(built(wrong).measure(written)[figure]) < 4


def test_synthid_keeps_each_probability_over_keys() -> None:
    scores = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    total = torch.zeros(4)
    for key in range(800):
        (mine,), _ = Recipe.parse(f'synthid("{key}, {key + 7000}") | greedy').build(context(4))
        total += mine(scores, [Row((0, 2), 1)]).softmax(-1)[0]
    assert (total / 800).tolist() == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.03)


def test_gumbel_draws_with_the_models_probabilities() -> None:
    scores = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    counts = [0, 0, 0, 0]
    for key in range(1, 1501):
        (mine,), _ = Recipe.parse(f"gumbel_watermark({key}) | greedy").build(context(4))
        left = mine(scores, [Row((0, 2), 1)])[0] > -torch.inf
        assert int(left.sum()) == 1
        counts[int(left.int().argmax())] += 1
    assert chisquare(counts, [750, 450, 225, 75]).pvalue > 0.01


def test_gumbel_is_the_same_for_every_seed_and_never_twice_after_the_same() -> None:
    texts = [
        run(transitions(TABLE), "gumbel_watermark | sample", (1,), max_new_tokens=20, seed=seed)[0]
        for seed in (1, 2)
    ]
    assert texts[0].generated == texts[1].generated
    mine = built("gumbel_watermark(ngram=2)")
    scores = TABLE[:1].log()
    assert torch.equal(mine(scores, [Row((1, 5, 6, 7, 5, 6), 1)]), scores)  # after 5 6 again
    assert int((mine(scores, [Row((1, 5, 6, 7, 6, 5), 1)]) > -torch.inf).sum()) == 1


@pytest.mark.parametrize("search", ["sample(2)", "best_of", "beam", "arithmetic", "contrastive"])
def test_gumbel_refuses_a_search_that_would_compare_equal_texts(search: str) -> None:
    with pytest.raises(RecipeError, match=r"all texts of a prompt are the same.*sample\(1\)"):
        Recipe.parse(f"gumbel_watermark | {search}").build(context(VOCAB))
    Recipe.parse(f"gumbel_watermark(0) | {search}").build(context(VOCAB))
    Recipe.parse(f"~gumbel_watermark | {search}").build(context(VOCAB))
    Recipe.parse(f"synthid | {search}").build(context(VOCAB))


def test_the_z_of_gumbel_by_hand() -> None:
    """That of one token: its noise g has r = exp(−exp(−g)), and −ln(1 − r) is 1 on average."""
    mine = built("gumbel_watermark(ngram=1)")
    noise = float(gumbel_at(keyed(15485863, (1,)), 0, 0, torch.tensor([7])))
    r = math.exp(-math.exp(-noise))
    assert mine.measure(Row((1, 7), 1))["Gumbel z"] == pytest.approx(-math.log(1 - r) - 1)


def test_the_secret_numbers_are_numbers() -> None:
    with pytest.raises(RecipeError, match="is not up to 64 numbers"):
        Recipe.parse('synthid("1, x") | sample')
    assert built('synthid("")').measure(Row((1, 7), 1)) == {}
