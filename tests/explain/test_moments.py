"""A choice moment by moment equals a recomputation from the logits it was recorded from."""

from __future__ import annotations

import math

import pytest
import torch

from playground.engine import Request
from playground.explain.moments import LISTED, choice
from tests.engine.models import engine, finished

RECIPES = ["temperature(0.7) | top_k(4) | sample", "greedy", "beam(3)"]


def test_every_moment_of_a_choice() -> None:
    served = engine()
    run = finished(served, Request(prompt="abc", recipes=RECIPES, max_new_tokens=6, seed=5))
    ids = [token.id for token in run.prompt_tokens]
    lane = run.lanes[0]
    for position, token in enumerate(lane.token_ids):
        with torch.no_grad():
            own = torch.tensor([ids + lane.token_ids[:position]])
            logits = served.model.model(own).logits[0, -1].double()
        warm = (logits / 0.7).softmax(-1)
        kept = torch.zeros_like(warm)
        top = warm.topk(4).indices
        kept[top] = warm[top] / warm[top].sum()
        found = choice(run, 0, 0, position)
        listed = [one for one in found.candidates if one.token is not None]
        assert LISTED <= len(listed) <= LISTED + 1
        for one in listed:
            expected = [float(level[one.token]) for level in (logits.softmax(-1), warm, kept)]
            assert one.probabilities == pytest.approx(expected, abs=1e-5)
            assert one.removed == (None if one.token in top.tolist() else 1)
            assert (one.noise is not None) == (one.removed is None)
        rest = found.candidates[-1]
        assert rest.token is None
        for level, sums in enumerate(zip(*(one.probabilities for one in listed), strict=True)):
            assert sum(sums) + rest.probabilities[level] == pytest.approx(1, abs=1e-5)
        (chosen,) = [one for one in listed if one.chosen]
        assert chosen.token == token
        drawn = {o.token: o.logprob + o.noise for o in listed if o.noise is not None}
        assert max(drawn, key=drawn.__getitem__) == token
        assert [one.left for one in found.moments] == [len(logits), len(logits), 4]
        assert found.moments[2].entropy == pytest.approx(
            -sum(p * math.log(p) for p in kept.tolist() if p > 0), abs=1e-4
        )
        assert "won the draw" in found.sentence and "top_k 4 removes" in found.moments[2].sentence


def test_what_is_not_drawn_is_told_too() -> None:
    run = finished(engine(), Request(prompt="abc", recipes=RECIPES, max_new_tokens=4, seed=5))
    greedy, beam = choice(run, 1, 0, 1), choice(run, 2, 0, 1)
    assert "the likeliest token that is left" in greedy.sentence and not greedy.drawn
    score = run.lanes[2].trace.path()[1].score
    assert f"score is {score:.2f}".replace("-", "−") in beam.sentence
    assert all(one.noise is None for one in beam.candidates)
    (chosen,) = [one for one in beam.candidates if one.chosen]
    before = run.lanes[2].trace.path()[0].score
    assert chosen.taken and chosen.score == score
    for one in beam.candidates:  # a text's score is that of the text before it and of the token
        if one.score is not None:
            own = math.log(one.probabilities[-1])
            assert one.score == pytest.approx(before + own, abs=1e-3)
    assert all(one.score is None for one in greedy.candidates)
