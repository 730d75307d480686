"""The threshold that a processor reports separates what it keeps from what it removes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import Distribution, Recipe, Row
from strategies.registry import registry
from tests.strategies.driver import context

NEAR = 1e-4  # relative: closer to the line, float32 decides

ACTING = {
    "epsilon_cutoff": "epsilon_cutoff(0.02)",
    "eta_cutoff": "eta_cutoff(0.05)",
    "min_k": "min_k(3.0)",
    "min_p": "min_p(0.2)",
    "p_less": "p_less",
    "p_less_norm": "p_less_norm",
    "top_a": "top_a(0.4)",
    "top_k": "top_k(7)",
    "top_n_sigma": "top_n_sigma(1.1)",
    "top_p": "top_p(0.7)",
    "xtc": "xtc(0.05, probability=1.0)",
}
# Of which no line is drawn through the scores alone.
WITH_LAYERS = {"dola"}
TELLING = [
    id
    for id, strategy in registry().strategies.items()
    if strategy.kind == "processor"
    and strategy.threshold is not registry().strategies["temperature"].threshold
]


def distribution(scores: torch.Tensor) -> Distribution:
    logprobs = scores.log_softmax(-1)
    left = logprobs[logprobs > -torch.inf]
    return Distribution(scores, float(left.max()), float(-(left.exp() * left).sum()), len(left))


def test_every_processor_that_tells_its_line_is_tried_here():
    assert sorted(ACTING) == sorted({*TELLING} - WITH_LAYERS)
    assert all(registry().strategies[id].keeps_by for id in TELLING)


@pytest.mark.parametrize("id", sorted(ACTING))
@given(seed=st.integers(0, 2**32 - 1), spread=st.floats(0.3, 4.0), cut=st.integers(0, 20))
@settings(max_examples=30, deadline=None)
def test_the_line_parts_what_stays_from_what_goes(id, seed, spread, cut):
    """Of distributions sharp and flat, some tokens of which were removed before."""
    drawn = torch.Generator().manual_seed(seed)
    scores = torch.randn(40, generator=drawn) * spread
    scores[torch.randperm(40, generator=drawn)[:cut]] = -torch.inf
    (processor,), _ = Recipe.parse(f"{ACTING[id]} | sample").build(context(40))
    before = distribution(scores)
    line = processor.threshold(before)
    kept = processor(scores[None], [Row((0,), 1)])[0] > -torch.inf
    probs = scores.double().softmax(-1)
    best = int(probs.argmax())
    for token in map(int, (scores > -torch.inf).nonzero()):
        p, likelier = float(probs[token]), probs[probs > probs[token]]
        stays, value = {
            "probability": (p >= line or token == best, p),
            "rank": (len(likelier) + 1 <= line, len(likelier) + 1.0),
            "mass": (float(likelier.sum()) < line, float(likelier.sum())),
            "ceiling": (p < line or not len(probs[(probs >= line) & (probs < p)]), p),
        }[processor.keeps_by]
        if abs(value - line) > NEAR * line or processor.keeps_by == "rank":
            assert bool(kept[token]) == stays
