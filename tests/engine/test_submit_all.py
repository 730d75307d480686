"""Several runs submitted together: all are queued or none, and they count as one."""

from __future__ import annotations

import pytest

from playground.engine import Busy, FieldError, Limits, Request
from tests.engine.models import engine


def several(*prompts: str, client: str = "") -> list[Request]:
    return [
        Request(prompt=prompt, recipes=["sample"], max_new_tokens=6, client=client)
        for prompt in prompts
    ]


def test_runs_submitted_together_write_what_each_writes_alone() -> None:
    prompts = ["a", "bcd", "a longer one than the others", "bcd"]
    served, alone = engine(rows=3), engine(rows=3)
    runs = served.submit_all(several(*prompts))
    for run in runs:
        served.drive(run)
    for run, request in zip(runs, several(*prompts), strict=True):
        other = alone.submit(request)
        alone.drive(other)
        assert [step.token for step in run.lanes[0].view.steps] == [
            step.token for step in other.lanes[0].view.steps
        ]


@pytest.mark.parametrize("at", [0, 2])
def test_one_that_cannot_be_run_refuses_all_and_is_named(at: int) -> None:
    served, prompts = engine(), ["a", "b", "c"]
    prompts[at] = ""
    with pytest.raises(FieldError) as caught:
        served.submit_all(several(*prompts))
    assert (caught.value.field, caught.value.number) == ("prompt", at)
    assert served.people == 0


def test_they_count_once_to_a_client_s_share_and_are_queued_all_or_none() -> None:
    served = engine(rows=2, limits=Limits(waiting=7, client_runs=2))
    for _ in range(2):
        served.submit_all(several("a", "b", "c", client="x"))
    with pytest.raises(Busy, match="at most 2"):
        served.submit_all(several("a", client="x"))
    with pytest.raises(Busy, match="6 runs are waiting"):
        served.submit_all(several("a", "b", client="y"))
    assert served.waiting == 6
    served.submit_all(several("a", client="y"))
