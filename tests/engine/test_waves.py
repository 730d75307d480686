"""Where rows are few, texts drawn in several waves are the same as texts drawn all at once."""

from __future__ import annotations

import pytest

from playground.engine import FieldError, Limits, Request
from playground.trace import Comparison
from tests.engine.models import engine, finished

RECIPES = (
    "sample(13)",
    "temperature(0.7) | repetition_penalty(1.3) | sample(13)",
    'guidance(1.5, negative_prompt="no") | sample(13)',
    "best_of(13)",
    "self_consistency(13)",
)


def written(width: int, rows: int = 128, **change: object) -> Comparison:
    """The columns of all recipes, of which each may own so many rows."""
    served = engine(eos=(5, 9, 11, 70), rows=rows, limits=Limits(new_tokens=64, width=width))
    asked = {"prompt": "abc", "recipes": list(RECIPES), "max_new_tokens": 12, "seed": 4}
    found = finished(served, Request(**(asked | change)))
    assert served.rows_in_use == 0
    return found


@pytest.mark.parametrize("change", [{}, {"stop": ["e"]}, {"cache": False}, {"max_new_tokens": 1}])
def test_as_all_at_once(change):
    whole, waves = written(32, **change), written(4, **change)
    for one, other in zip(whole.lanes, waves.lanes, strict=True):
        assert len(other.trace.outputs) == 13
        assert [output.sample for output in one.trace.outputs] == [
            output.sample for output in other.trace.outputs
        ]
        for before, now in zip(one.trace.outputs, other.trace.outputs, strict=True):
            assert (now.text, now.token_ids) == (before.text, before.token_ids)
            assert (now.finish_reason, now.found) == (before.finish_reason, before.found)
        number = range(13)
        assert [[step.logprob for step in other.trace.path(at)] for at in number] == [
            [pytest.approx(step.logprob, abs=1e-5) for step in one.trace.path(at)] for at in number
        ]


def test_what_it_is_counted_as(monkeypatch):
    served = engine(rows=16, limits=Limits(new_tokens=64, width=4))
    run = served.builder.run(Request(prompt="a", recipes=["sample(10)", "greedy"]))
    assert (run.width, run.longest) == (5, 3 * 64)
    alone = served.builder.run(Request(prompt="a", recipes=["sample(256)"], max_new_tokens=2))
    assert (alone.width, alone.longest) == (4, 128)
    with pytest.raises(FieldError, match="needs 5 rows; at most 4"):
        served.builder.run(Request(prompt="a", recipes=["beam(5)"]))


def test_a_text_that_is_stopped_keeps_what_all_have_so_far():
    served = engine(rows=8, limits=Limits(new_tokens=64, width=2))
    run = served.submit(Request(prompt="abc", recipes=["sample(5)"], max_new_tokens=30))
    for _ in range(12):
        served.step()
    run.cancel()
    served.drive(run)
    lane = run.comparison().lanes[0]
    lengths = [len(output.token_ids) for output in lane.trace.outputs]
    assert lengths[2:] == [1, 1, 1] and min(lengths[:2]) > 5
    assert {output.finish_reason for output in lane.trace.outputs} == {"cancelled"}
