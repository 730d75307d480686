"""A person picks each token: the engine offers what may be chosen, and rereads what was picked."""

from __future__ import annotations

import pytest

from playground.engine import Engine, FieldError, Request
from playground.trace import Comparison, LaneResult
from tests.engine.models import engine, finished


def lane(served: Engine, recipe: str, **more: object) -> LaneResult:
    given = {"prompt": "pick", "recipes": [recipe], "max_new_tokens": 12, "seed": 3} | more
    return finished(served, Request.model_validate(given)).lanes[0]


@pytest.mark.parametrize("before", ["", "temperature(1.4) | top_k(6) | ", "mirostat_v2(3) | "])
def test_picking_what_a_search_chose_writes_its_text(before: str) -> None:
    """And each offer on the way is the very step that the search recorded."""
    served = engine()
    chosen = lane(served, before + "sample").trace.path()
    picks: list[int] = []
    for step in chosen:
        waiting = lane(served, f"{before}manual({picks})")
        offer = waiting.trace.offer
        assert waiting.finish_reason == "waiting" and waiting.token_ids == picks
        assert offer is not None and offer.index == len(picks)
        assert set(offer.candidates.ids) >= set(step.candidates.ids) - {step.token}
        assert offer.raw_entropy == pytest.approx(step.raw_entropy, abs=1e-4)
        assert [s.survivors for s in offer.stages] == [s.survivors for s in step.stages]
        picks.append(step.token)
    done = lane(served, f"{before}manual({picks})")
    assert done.finish_reason == "length" and done.trace.offer is None
    assert [step.logprob for step in done.trace.path()] == pytest.approx(
        [step.logprob for step in chosen], abs=1e-4
    )
    assert served.rows_in_use == 0


def test_picked_tokens_are_read_again_in_few_forwards() -> None:
    done = lane(engine(), f"manual({[7] * 40})", max_new_tokens=60)
    assert sum(step.times.forward > 0 for step in done.trace.path()) <= 4
    assert done.token_ids == [7] * 40
    assert done.metrics.acceptance is None  # what a person picked before was no guess
    assert {step.draft for step in done.trace.steps} == {None}


def test_a_pick_that_the_recipe_removed_ends_its_lane(caplog: pytest.LogCaptureFixture) -> None:
    served = engine()
    likeliest = lane(served, "greedy").token_ids[0]
    broken = lane(served, f"top_k(1) | manual([{(likeliest + 1) % 200}])")
    assert broken.finish_reason == "error" and not caplog.records  # a person's, not a crash
    assert str(broken.error).startswith("Pick 1, token ")
    assert str(broken.error).endswith(" was removed by the recipe.")


def test_a_pick_that_no_token_has_is_refused() -> None:
    with pytest.raises(FieldError, match="picks has 5000, and this model's ids end at 258"):
        lane(engine(), "manual([5000])")


def test_an_offer_is_kept_with_the_trace() -> None:
    served = engine()
    run = finished(served, Request(prompt="p", recipes=["top_p(0.9) | manual"], max_new_tokens=3))
    again = Comparison.from_json(run.to_json())
    assert again.to_json() == run.to_json() and again.lanes[0].trace.offer is not None
    assert run.lanes[0].metrics.tokens == 0 and run.frame().empty


def test_a_preview_shows_the_offer() -> None:
    served = engine()
    request = Request(prompt="pick", recipes=["top_k(4) | manual", "manual([9])"])
    finished(served, request)  # the prompt is known now
    previews = served.preview(request)
    assert previews is not None
    offer, picked = previews
    assert not isinstance(offer, str) and offer.stages[0].survivors == 4
    assert not isinstance(picked, str) and picked.token == 9
