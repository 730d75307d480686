"""A text that continues another from one of its tokens, joined with what came before."""

from __future__ import annotations

import pytest
import torch

from playground.engine import Request
from playground.engine.forking import fork
from playground.explain.graft import graft
from playground.trace import Comparison
from tests.engine.models import driven, engine, finished

DRAWN = "temperature(0.8) | sample"


@pytest.fixture(scope="module")
def served():
    return engine()


@pytest.fixture(scope="module")
def run(served) -> Comparison:
    return finished(served, Request(prompt="abab", recipes=[DRAWN], max_new_tokens=10, seed=5))


def forked(served, run, step, token=None, recipe=DRAWN):
    return finished(served, fork(run, 0, step, [] if token is None else [token], recipe=recipe))


def test_going_on_as_it_did_is_the_same_text(served, run):
    lane = graft(run, 0, 0, 4, forked(served, run, 4))
    whole = run.lanes[0]
    assert lane.token_ids == whole.token_ids and lane.text == whole.text
    assert lane.metrics.perplexity == pytest.approx(whole.metrics.perplexity, rel=1e-4)
    assert [one.index for one in lane.trace.path()] == list(range(10))
    assert [one.parent for one in lane.trace.path()] == [None, *range(9)]


@pytest.mark.parametrize("recipe", [DRAWN, "top_k(3) | temperature(0.5) | greedy"])
def test_another_candidate_is_put_in_its_place(served, run, recipe):
    known = run.lanes[0].trace.path()[4].candidates
    token = next(t for t in known.ids if t != run.lanes[0].token_ids[4])
    written = forked(served, run, 4, token, recipe)
    lane = graft(run, 0, 0, 4, written)
    assert lane.token_ids == [*run.lanes[0].token_ids[:4], token, *written.lanes[0].token_ids]
    put = lane.trace.path()[4]
    assert put.raw_probability == pytest.approx(known.raw[known.ids.index(token)])
    stages = len(lane.trace.chain.processors)
    assert all(len(one.stages) == len(one.candidates.stages) == stages for one in lane.trace.path())
    whole = run.model_copy(update={"lanes": [lane]})
    assert Comparison.from_json(whole.to_json()).lanes[0].token_ids == lane.token_ids


def test_a_token_that_was_not_recorded_is_refused(served, run):
    known = run.lanes[0].trace.path()[4].candidates.ids
    token = next(t for t in range(259) if t not in known)
    with pytest.raises(ValueError, match="not recorded"):
        graft(run, 0, 0, 4, forked(served, run, 4, token))


@pytest.mark.parametrize("recipe", [DRAWN, "top_k(3) | greedy"])
@pytest.mark.parametrize("step", [0, 4])
def test_words_put_by_hand_have_what_the_model_makes_of_them(served, run, recipe, step):
    """By the model's own forward over the whole text."""
    put = [70, 80, 90]
    went = driven(served, fork(run, 0, step, put, recipe=recipe))
    lane = graft(run, 0, 0, step, went.comparison(), went.put)
    fed = [token.id for token in run.prompt_tokens]
    assert lane.token_ids[: step + 3] == [*run.lanes[0].token_ids[:step], *put]
    with torch.inference_mode():
        whole = torch.tensor([fed + lane.token_ids])
        known = served.model.model(whole).logits[0].log_softmax(-1)
    for at, one in enumerate(lane.trace.path()):
        assert (one.index, one.parent) == (at, at - 1 if at else None)
        own = float(known[len(fed) + at - 1, one.token])
        assert one.raw_logprob == pytest.approx(own, abs=1e-4)
    assert lane.text == "".join(one.text for one in lane.trace.path())
    assert went.comparison().timings.reused_tokens >= len(fed) + max(0, step - 1)
