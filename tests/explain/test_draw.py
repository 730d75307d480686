"""How a token was drawn, against the engine's own noise and draw."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.explain.draw import draw, noise
from strategies.ops.noise import Noise, gumbel
from strategies.ops.noise import draw as engine_draw
from tests.explain.recorded import logits, recorded


@given(
    seed=st.integers(0, 2**40),
    sample=st.integers(0, 63),
    position=st.integers(0, 5000),
    token=st.integers(0, 199),
)
@settings(max_examples=100, deadline=None)
def test_the_noise_is_the_engine_s(seed, sample, position, token):
    engine = float(gumbel(seed, sample, position, 200)[token])
    ours = noise(seed, sample, position, token)
    assert float(torch.tensor(ours, dtype=torch.float32)) == pytest.approx(engine, abs=1e-6)


@given(
    made=st.integers(0, 2**32 - 1),
    seed=st.integers(0, 2**32 - 1),
    sample=st.integers(0, 9),
    index=st.integers(0, 300),
    recipe=st.sampled_from(
        ["sample", "temperature(1.5) | sample", "temperature(0.7) | top_p(0.8) | sample"]
    ),
)
@settings(max_examples=100, deadline=None)
def test_the_draw_is_that_of_the_whole_distribution(made, seed, sample, index, recipe):
    scores = recorded(recipe, logits(made)).scores[-1].float()
    chosen = engine_draw(scores, Noise(seed, index, len(scores)), sample)
    found = recorded(recipe, logits(made), chosen, top_n=12, index=index)
    told = draw(found.trace, found.step, seed, sample)
    logprobs = found.scores[-1].log_softmax(-1)
    sums = (logprobs + gumbel(seed, sample, index, len(scores))).tolist()
    assert told.winner.token == chosen == max(range(len(sums)), key=sums.__getitem__)
    kept = [t for t in found.step.candidates.ids if logprobs[t] > -math.inf]
    assert [one.token for one in told.tickets] == sorted(kept, key=lambda t: -sums[t])
    for one in told.tickets:
        assert one.total == pytest.approx(sums[one.token], abs=1e-3)
    assert told.unrecorded == int((logprobs > -torch.inf).sum()) - len(kept)
    if len(kept) > 1 and told.winner.total - told.tickets[1].total > 0.01:
        step = found.step.model_copy(update={"token": told.tickets[1].token})
        with pytest.raises(ValueError, match=f"token {index + 1} was not drawn with seed {seed}"):
            draw(found.trace, step, seed, sample)


def test_the_sentence_has_both_sums():
    scores = torch.tensor([0.6, 0.3, 0.1]).log()
    chosen = engine_draw(scores, Noise(5, 0, 3), 0)
    found = recorded("sample", scores, chosen)
    told = draw(found.trace, found.step, 5)
    assert told.sentence.startswith(f"“ {chosen}” (")
    assert " of luck = " in told.sentence and "; next of those recorded came “" in told.sentence
    alone = recorded("top_k(1) | sample", scores)
    assert draw(alone.trace, alone.step, 5).sentence.endswith(
        "won the draw: no other token was left."
    )


def test_what_does_not_draw_has_no_draw():
    found = recorded("greedy", logits(1))
    assert draw(found.trace, found.step, 7) is None
