"""Runs in the background: at work only while nobody else's is, and with the same texts."""

from __future__ import annotations

import pytest

from playground.engine import Busy, Engine, Limits, Request, Run
from tests.engine.models import engine


def ask(
    served: Engine,
    recipe: str = "sample(2)",
    tokens: int = 8,
    background: bool = False,
    **more: int,
) -> Run:
    return served.submit(
        Request(
            prompt="a prompt",
            recipes=[recipe],
            max_new_tokens=tokens,
            background=background,
            **more,
        )
    )


def written(run: Run) -> list[list[int]]:
    return [output.token_ids for output in run.comparison().lanes[0].trace.outputs]


def length(run: Run) -> int:
    return len(run.views[0].steps)


def test_it_pauses_while_another_run_is_at_work_and_goes_on_as_if_it_had_not() -> None:
    served = engine(rows=8)
    served.drive(expected := ask(served))
    behind = ask(served, background=True)
    for _ in range(3):
        served.step()
    before = length(behind)
    assert 0 < before and not behind.paused
    person = ask(served, tokens=5)
    while not person.done:
        served.step()
        assert length(behind) == before
    served.drive(behind)
    assert behind.paused and not behind.yielded
    assert written(behind) == written(expected)


def test_a_search_that_looks_ahead_goes_on_with_what_it_saw() -> None:
    served = engine(rows=12)
    recipe = "contrastive(0.6, top_k=3)"
    served.drive(expected := ask(served, recipe))
    behind = ask(served, recipe, background=True)
    for _ in range(3):
        served.step()
    served.drive(ask(served, recipe, tokens=4))
    served.drive(behind)
    assert behind.paused and written(behind) == written(expected)


def test_it_begins_when_no_other_run_waits_or_is_at_work() -> None:
    served = engine(rows=4)
    people = [ask(served) for _ in range(3)]
    behind = ask(served, background=True)
    people += [ask(served) for _ in range(2)]
    assert [run.queue_position for run in people] == [1, 2, 3, 4, 5]
    while not all(run.done for run in people):
        served.step()
        assert length(behind) == 0
    served.drive(behind)


def test_it_gives_back_the_rows_that_another_run_needs_and_no_more() -> None:
    served = engine(rows=8)
    behind = [ask(served, "sample(4)", tokens=40, background=True) for _ in range(2)]
    for _ in range(4):
        served.step()
    person = ask(served, "sample(3)")
    served.step()
    assert person.state == "running" and length(person) > 0
    assert [run.yielded for run in behind] == [False, True]
    assert behind[1].done and behind[0].state == "running"
    served.drive(person)
    served.drive(behind[0])
    assert length(behind[0]) == 160


def test_nobody_waits_until_its_prompt_is_read() -> None:
    served = engine(rows=8, context=128)
    served.forward.chunk_size = 4
    behind = served.submit(
        Request(prompt="x" * 90, recipes=["greedy"], max_new_tokens=4, background=True)
    )
    served.step()
    assert served.loop.scheduler.task is not None
    person = served.submit(Request(prompt="ab", recipes=["greedy"], max_new_tokens=4))
    served.step()
    assert length(person) > 0
    served.drive(person)
    assert length(behind) == 0
    served.drive(behind)
    assert length(behind) == 4


def test_it_takes_no_share_of_anybody_and_has_no_deadline_but_its_own() -> None:
    served = engine(rows=2, limits=Limits(waiting=2, client_runs=1, deadline=1e-9))
    behind = [ask(served, background=True) for _ in range(2)]
    with pytest.raises(Busy, match="2 runs are waiting"):
        ask(served, background=True)
    person = ask(served)
    assert person.queue_position == 1
    served.drive(person)
    assert person.outcome == "deadline"
    served.drive(behind[0])
    assert behind[0].outcome == "done"
