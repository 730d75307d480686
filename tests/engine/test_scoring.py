"""The log-probabilities of a prompt are the model's own."""

from __future__ import annotations

import math

import pytest
import torch

from playground.engine import Engine, EngineClosed, FieldError, Request
from playground.trace import Comparison
from tests.engine.models import MAKERS, engine


def own(served: Engine, ids: list[int]) -> torch.Tensor:
    """The model's own log-probability of each of ``ids`` but the first, in one forward."""
    with torch.inference_mode():
        logits = served.model.model(torch.tensor([ids])).logits[0, :-1]
    return torch.log_softmax(logits.float(), -1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("chunk", [256, 7])
def test_log_probabilities_are_those_of_the_model_s_own_forward(kind: str, chunk: int) -> None:
    served = engine(kind)
    served.forward.chunk_size = chunk
    ids = [token.id for token in served.tokens("A prompt of more tokens than one chunk has.")]
    first, *found = served.prompt_logprobs(ids)
    assert first is None and len(found) == len(ids) - 1
    torch.testing.assert_close(torch.tensor(found), own(served, ids), rtol=1e-4, atol=1e-4)
    assert served.prompt_logprobs(ids[:1]) == [None]


def test_scoring_beside_a_run_needs_no_slot_and_changes_nothing_in_it() -> None:
    request = Request(prompt="b", recipes=["greedy", "sample"], max_new_tokens=12)
    alone, beside = engine(rows=2), engine(rows=2)
    expected = alone.submit(request)
    alone.drive(expected)
    run = beside.submit(request)
    ids = list(range(3, 40))
    found = []
    while not run.done:
        beside.step()
        found.append(beside.prompt_logprobs(ids))
    assert all(scores == found[0] for scores in found)
    assert [view.text for view in run.views] == [view.text for view in expected.views]


def test_scoring_ends_where_it_is_cancelled() -> None:
    served = engine()
    served.forward.chunk_size = 4
    looks = iter([False, False, True])
    assert len(served.prompt_logprobs(range(3, 40), lambda: next(looks))) == 1 + 2 * 4


def test_with_nothing_to_write_the_prompt_is_scored() -> None:
    served = engine()
    run = served.submit(Request(prompt="hello", recipes=["greedy", "beam(3)"], max_new_tokens=0))
    assert run.done and served.people == 0 and served.rows_in_use == 0
    assert [view.finish_reason for view in run.views] == ["length", "length"]
    assert run.comparison().prompt_perplexity is None
    served.score(run)
    told = run.comparison()
    wanted = served.prompt_logprobs(run.prompt_ids)
    assert [token.logprob for token in told.prompt_tokens] == wanted and wanted[0] is None
    mean = sum(score for score in wanted[1:] if score is not None) / (len(wanted) - 1)
    assert told.prompt_perplexity == pytest.approx(math.exp(-mean))
    assert [(lane.text, lane.token_ids) for lane in told.lanes] == [("", [])] * 2
    assert Comparison.from_json(told.to_json()) == told


def test_a_prompt_that_fills_the_context_can_be_scored_and_none_that_is_longer() -> None:
    served = engine()
    full = "x" * served.context_length
    run = served.submit(Request(prompt=full, recipes=["greedy"], max_new_tokens=0))
    served.score(run)
    assert run.prompt_perplexity is not None
    with pytest.raises(FieldError, match="the context holds 128"):
        served.submit(Request(prompt=full + "x", recipes=["greedy"], max_new_tokens=0))


def test_a_closed_engine_scores_nothing() -> None:
    served = engine()
    served.close()
    with pytest.raises(EngineClosed):
        served.submit(Request(prompt="a", recipes=["greedy"], max_new_tokens=0))
