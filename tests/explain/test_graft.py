"""A text that goes on from within another one, put together with what came before."""

from __future__ import annotations

import pytest

from playground.engine import Request
from playground.explain.graft import graft
from playground.trace import Comparison
from tests.engine.models import engine, finished

DRAWN = "temperature(0.8) | sample"


@pytest.fixture(scope="module")
def served():
    return engine()


@pytest.fixture(scope="module")
def run(served) -> Comparison:
    return finished(served, Request(prompt="abab", recipes=[DRAWN], max_new_tokens=10, seed=5))


def forked(served, run, step, token=None, recipe=DRAWN):
    own = run.lanes[0].token_ids[:step] + ([] if token is None else [token])
    left = 10 - len(own)
    asked = Request(prompt="abab", recipes=[recipe], prefix=own, seed=5, max_new_tokens=left)
    return finished(served, asked)


def test_going_on_as_it_did_is_the_same_text(served, run):
    lane = graft(run, 0, 0, 4, None, forked(served, run, 4))
    whole = run.lanes[0]
    assert lane.token_ids == whole.token_ids and lane.text == whole.text
    assert lane.metrics.perplexity == pytest.approx(whole.metrics.perplexity, rel=1e-4)
    assert [one.index for one in lane.trace.path()] == list(range(10))
    assert [one.parent for one in lane.trace.path()] == [None, *range(9)]


@pytest.mark.parametrize("recipe", [DRAWN, "top_k(3) | temperature(0.5) | greedy"])
def test_another_candidate_is_put_in_its_place(served, run, recipe):
    known = run.lanes[0].trace.path()[4].candidates
    token = next(t for t in known.ids if t != run.lanes[0].token_ids[4])
    fork = forked(served, run, 4, token, recipe)
    lane = graft(run, 0, 0, 4, token, fork)
    assert lane.token_ids == [*run.lanes[0].token_ids[:4], token, *fork.lanes[0].token_ids]
    put = lane.trace.path()[4]
    assert put.raw_probability == pytest.approx(known.raw[known.ids.index(token)])
    stages = len(lane.trace.chain.processors)
    assert all(len(one.stages) == len(one.candidates.stages) == stages for one in lane.trace.path())
    whole = run.model_copy(update={"lanes": [lane]})
    assert Comparison.from_json(whole.to_json()).lanes[0].token_ids == lane.token_ids


def test_a_token_that_was_not_recorded_is_refused(served, run):
    with pytest.raises(ValueError, match="not recorded"):
        graft(run, 0, 0, 4, 10**6, forked(served, run, 4))
