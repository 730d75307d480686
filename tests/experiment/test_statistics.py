"""Intervals have their coverage, tests are scipy's, and sentences claim no more than that."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from playground.experiment.registry import metrics
from playground.experiment.statistics.interval import bounds, interval
from playground.experiment.statistics.pairs import (
    differences,
    further_prompts,
    holm,
    sign_flips,
)
from playground.experiment.statistics.words import number, sentence

EXPERIMENTS = 2000


@pytest.mark.parametrize("prompts", [12, 40])
@pytest.mark.parametrize("shape", ["normal", "share"])
def test_intervals_hold_the_truth_in_95_of_100_experiments(prompts, shape):
    """Texts of a prompt resemble each other: an interval over all texts would be too narrow."""
    random, seeds = np.random.default_rng(7), 4
    if shape == "normal":
        own = random.normal(0.3, 1.0, (EXPERIMENTS, prompts, 1))
        texts = own + random.normal(0, 0.7, (EXPERIMENTS, prompts, seeds))
        truth = 0.3
    else:  # differences of two shares, such as of texts that ended by themselves
        first, second = (
            random.random((EXPERIMENTS, prompts, seeds))
            < random.beta(a, b, (EXPERIMENTS, prompts, 1))
            for a, b in ((4, 2), (2, 3))
        )
        texts = first.astype(float) - second
        truth = 4 / 6 - 2 / 5
    low, high = bounds(texts.mean(axis=2), resamples=999)
    covered = np.mean((low <= truth) & (truth <= high))
    assert covered == pytest.approx(0.95, abs=0.015)


def test_an_interval_needs_three_prompts_and_none_where_nothing_varies():
    assert interval(np.array([1.0, 2.0])).low is None
    still = interval(np.array([0.5] * 5))
    assert (still.low, still.mean, still.high) == (0.5, 0.5, 0.5)
    again = interval(np.arange(10.0)), interval(np.arange(10.0))
    assert again[0] == again[1] and again[0].low < 4.5 < again[0].high


def test_the_sign_flip_test_against_all_signs():
    means = np.array([0.3, -0.1, 0.4, 0.25, 0.5, 0.05, 0.2])
    flipped = [np.mean(means * signs) for signs in itertools.product([1, -1], repeat=7)]
    exact = np.mean(np.abs(flipped) >= abs(means.mean()) - 1e-12)
    assert sign_flips(np.stack([means, np.zeros(7)])) == pytest.approx([exact, 1.0])
    assert sign_flips(np.random.default_rng(0).normal(1, 1, (1, 40)))[0] < 0.001


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == []


def test_no_difference_is_rarely_told_among_many_pairs():
    """Among six pairs of four equal recipes, any is significant in at most 5 of 100 experiments."""
    random, told = np.random.default_rng(3), 0
    for _ in range(60):
        values = random.normal(size=(4, 10, 1)) + random.normal(size=(1, 10, 1))
        told += any(found.settled for found in differences(values))
    assert told <= 7  # 60 × 0.05 = 3, and more than 7 in 1 of 100


def test_pairs_are_paired_and_leave_out_what_is_missing():
    random = np.random.default_rng(1)
    prompts = random.normal(0, 10, (1, 20, 1))  # differ far more than recipes do
    values = prompts + random.normal(0, 0.5, (3, 20, 4))
    values[1] += 1.0
    values[2, 3:6] = np.nan
    values[2, 0, 1] = np.nan
    first, second, third = differences(values)
    assert (first.first, first.second, first.cells) == (0, 1, 80)
    assert first.settled and first.interval.mean == pytest.approx(-1.0, abs=0.2)
    assert second.interval.prompts == 17 and second.cells == 67 and third.settled
    assert not second.settled


def test_so_many_further_prompts_settle_it():
    """With that many prompts, such a difference is significant in about 4 of 5 experiments."""
    random = np.random.default_rng(5)
    pilot = np.concatenate([np.full(10, 0.5 + 1.0), np.full(10, 0.5 - 1.0)])  # deviation 1.03
    more = further_prompts(pilot, 0.05)
    assert 10 < more < 25
    size = 20 + more
    tried = sign_flips(random.normal(0.5, 1.026, (300, size)))
    settled = np.mean(np.array(tried) < 0.05)
    assert 0.7 < settled < 0.92
    assert further_prompts(pilot - 0.5, 0.05) is None  # no difference needs no end of prompts
    assert further_prompts(pilot - 0.4999, 0.05) is None
    assert further_prompts(np.array([1.0, 1.01, 0.99]), 0.05) >= 3  # three can never tell


def told(written, values, names=("top_p 0.9", "greedy")):
    values = np.asarray(values, float)
    (found,) = differences(values)
    metric = metrics().parse(written)
    return sentence(found, metric, *names, seeds=values.shape[2])


def test_a_sentence_says_by_how_much_and_over_what():
    random = np.random.default_rng(2)
    greedy = random.normal(0.5, 0.1, (1, 40, 8))
    nucleus = greedy - 0.21 + random.normal(0, 0.13, (1, 40, 1))
    said = told("repeated_ngrams", np.concatenate([nucleus, greedy]))
    assert said.startswith("top_p 0.9 repeats less than greedy by 2")
    assert " ± " in said and said.endswith(" points (40 prompts × 8 seeds)")
    ratio = np.stack([np.log(np.full((12, 1), 6.0)), np.log(np.full((12, 1), 4.0))])
    ratio[0] += random.normal(0, 0.05, (12, 1))
    said = told("perplexity", ratio)
    assert said.startswith("top_p 0.9 has a higher perplexity than greedy by a factor of 1.")
    assert " to " in said and said.endswith("(12 prompts × 1 seed)")


def test_a_sentence_says_what_is_not_known():
    random = np.random.default_rng(4)
    noise = random.normal(0, 0.1, (2, 20, 4))
    noise[0] += 0.03
    said = told("repeated_ngrams", noise)
    assert said.startswith("Repeated n-grams: no difference between top_p 0.9 and greedy can be")
    assert "more prompts would do" in said
    assert "Length: no difference at all between" in told("length", np.ones((2, 9, 2)))
    assert "too few prompts" in told("length", [[[1.0]], [[2.0]]])
    balanced = np.zeros((2, 10, 1))
    balanced[0, :, 0] = [1, -1] * 5
    assert "most likely below" in told("length", balanced)


def test_numbers_have_the_digits_that_tell_something():
    shown = [number(x) for x in (1234.56, 99.94, 9.994, 0.12345, float("inf"), float("nan"))]
    assert shown == ["1,235", "99.9", "9.99", "0.123", "∞", "n/a"]
