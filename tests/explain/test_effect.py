"""The mass a stage removed and the logits it shifted, against the scores themselves."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.explain.effect import effect
from tests.explain.recorded import logits, recorded

CUTS = ["top_k(6)", "top_k(40)", "top_p(0.6)", "min_p(0.05)", "typical_p(0.6)", "top_h(0.5)"]
SHIFTS = [
    "repetition_penalty(1.5)",
    "presence_penalty(1.5, prompt=True)",
    "frequency_penalty(-0.7, prompt=True)",
    'logit_bias({"4": 3.0, "9": -2.0})',
]


@given(
    seed=st.integers(0, 2**32 - 1),
    spread=st.floats(0.5, 3.0),
    cut=st.sampled_from(CUTS),
    top_n=st.integers(2, 30),
)
@settings(max_examples=80, deadline=None)
def test_the_mass_is_that_of_the_tokens_removed(seed, spread, cut, top_n):
    found = recorded(f"temperature(0.8) | {cut} | sample", logits(seed, spread=spread), top_n=top_n)
    told = effect(found.trace, found.step, 1)
    gone = found.scores[2] == -torch.inf
    mass = float(found.scores[1].softmax(-1)[gone].sum())
    assert told.removed == int(gone.sum()) and not told.shifts
    assert told.mass is not None and told.mass == pytest.approx(mass, abs=1e-3)


@given(seed=st.integers(0, 2**32 - 1), spread=st.floats(0.5, 2.0), penalty=st.sampled_from(SHIFTS))
@settings(max_examples=80, deadline=None)
def test_the_shifts_are_what_was_added_to_the_logits(seed, spread, penalty):
    found = recorded(f"{penalty} | sample", logits(seed, spread=spread), top_n=30)
    told = effect(found.trace, found.step, 0)
    added = found.scores[1] - found.scores[0]
    assert (told.removed, told.mass, told.scale) == (0, 0.0, None)
    for token in found.step.candidates.ids:
        assert told.shifts.get(token, 0.0) == pytest.approx(float(added[token]), abs=3e-3)


def test_a_temperature_moves_every_token_and_removes_none():
    found = recorded("temperature(0.5) | sample", logits(4))
    told = effect(found.trace, found.step, 0)
    assert (told.removed, told.mass, told.shifts) == (0, 0.0, {})
    assert told.scale == pytest.approx(2.0, abs=1e-3)
    assert told.sentence == (
        "temperature 0.5 multiplies every logit by 2, which raises the likely ones"
    )


@given(seed=st.integers(0, 2**32 - 1), temperature=st.floats(0.3, 3.0))
@settings(max_examples=60, deadline=None)
def test_a_scale_is_that_of_the_logits_also_among_equal_ones(seed, temperature):
    scores = logits(seed).round(decimals=1)  # so that some candidates are equal
    found = recorded(f"temperature({temperature!r}) | sample", scores)
    told = effect(found.trace, found.step, 0)
    assert told.shifts == {}
    if abs(temperature - 1) > 0.01:
        assert told.scale == pytest.approx(1 / temperature, abs=1e-2)


def test_the_sentence_says_what_went_or_what_moved():
    scores = torch.tensor([0.5, 0.25, 0.15, 0.06, 0.04]).log()
    cut = recorded("top_k(3) | sample", scores)
    told = effect(cut.trace, cut.step, 0).sentence.replace("\N{NO-BREAK SPACE}", " ")
    assert told == "top_k 3 removes 2 tokens, 10 % of the probability"
    moved = recorded("presence_penalty(0.5, prompt=True) | sample", logits(2, size=200), top_n=200)
    told = effect(moved.trace, moved.step, 0).sentence
    assert told.startswith("presence_penalty 0.5, prompt=True takes 0.50 off “ ")
    assert told.endswith(" and moves 2 others")
    each = recorded("dynamic_temperature(high=2.0) | quadratic(0.3) | sample", logits(2), top_n=4)
    assert effect(each.trace, each.step, 1).sentence == (
        "quadratic 0.3 moves each token by an amount of its own"
    )
