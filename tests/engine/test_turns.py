"""Runs that do not all fit take turns at the rows, and write what they would have written alone."""

from __future__ import annotations

import pytest

from playground.engine import Engine, Limits, Request, Run
from tests.engine.models import engine

LIMITS = Limits(width=4)
RECIPES = [
    "sample(2)",
    "beam(4)",
    "contrastive(0.6, top_k=3)",
    'guidance(2.0, negative_prompt="a b") | sample',
    "mirostat_v2 | sample",
    "sample(9)",  # some after others, since four rows are the most
]


def ask(served: Engine, recipe: str, seed: int = 0, tokens: int = 10, **more: bool) -> Run:
    return served.submit(
        Request(prompt=f"prompt {seed}", recipes=[recipe], max_new_tokens=tokens, seed=seed, **more)
    )


def written(run: Run) -> list[list[int]]:
    return [output.token_ids for output in run.comparison().lanes[0].trace.outputs]


def together(served: Engine, runs: list[Run]) -> list[int]:
    """The number of steps to each run's first token, all being driven to the end."""
    firsts: dict[str, int] = {}
    steps = 0
    while not all(run.done for run in runs):
        served.step()
        steps += 1
        assert steps < 2000
        for run in runs:
            if run.first_token is not None:
                firsts.setdefault(run.id, steps)
    return [firsts[run.id] for run in runs]


@pytest.mark.parametrize("recipe", RECIPES)
def test_turns_change_no_text(recipe: str) -> None:
    alone = engine(rows=4, limits=LIMITS)
    expected = []
    for seed in range(4):
        alone.drive(run := ask(alone, recipe, seed))
        expected.append(written(run))
    served = engine(rows=4, limits=LIMITS)
    served.loop.scheduler.turns.seconds = 0.0
    runs = [ask(served, recipe, seed) for seed in range(4)]
    together(served, runs)
    assert [written(run) for run in runs] == expected
    assert served.forward.slots.free_count == served.forward.slots.count


def test_nobody_waits_for_the_end_of_those_before() -> None:
    served = engine(rows=4)
    served.loop.scheduler.turns.seconds = 0.0
    runs = [ask(served, "sample(2)", seed, tokens=60) for seed in range(8)]
    assert max(together(served, runs)) < 30  # the fifth would begin after 60 steps


def test_a_run_keeps_its_rows_for_a_turn_and_while_nobody_waits() -> None:
    served = engine(rows=4)
    runs = [ask(served, "sample(2)", seed, tokens=8) for seed in range(3)]
    served.loop.scheduler.turns.seconds = 1000.0
    firsts = together(served, runs)
    assert firsts[2] >= 8 > firsts[1]
    served.loop.scheduler.turns.seconds = 0.0
    runs = [ask(served, "sample(2)", seed) for seed in range(2)]
    served.step()
    served.step()
    assert not served.loop.scheduler.turns.paused
    together(served, runs)


def test_a_paused_run_that_is_cancelled_ends_and_others_go_on() -> None:
    served = engine(rows=2)
    turns = served.loop.scheduler.turns
    turns.seconds = 0.0
    runs = [ask(served, "sample(2)", seed) for seed in range(3)]
    while not turns.paused:
        served.step()
    given_up = turns.paused[0].run
    given_up.cancel()
    together(served, runs)
    assert [run.outcome for run in runs if run is given_up] == ["cancelled"]
    assert all(run.outcome == "done" for run in runs if run is not given_up)
    assert not turns.paused and served.forward.slots.free_count == 2


def test_a_lane_measured_alone_is_not_paused() -> None:
    served = engine(rows=2)
    served.loop.scheduler.turns.seconds = 0.0
    measured = ask(served, "sample(2)", alone=True)
    served.step()
    other = ask(served, "sample(2)", 1)
    while not measured.done:
        served.step()
        assert other.state == "queued" or measured.done
    served.drive(other)


def test_one_who_wants_nearly_all_rows_gets_them() -> None:
    served = engine(rows=16, limits=Limits(width=16))
    served.loop.scheduler.turns.seconds = 0.0
    runs = [ask(served, f"sample({n})", n, tokens=70) for n in (2, 15, 2)]
    assert max(together(served, runs)) < 30


def test_rows_apart_from_each_other_are_no_room_for_one_who_wants_more() -> None:
    """Rows of experiments end at different times; no foreground run is paused in vain."""
    served = engine(rows=8)
    turns = served.loop.scheduler.turns
    turns.seconds = 0.0
    behind = [ask(served, "greedy", n, tokens=200, background=True) for n in range(8)]
    while any(run.first_token is None for run in behind):
        served.step()
    for run in behind[1::2]:
        run.cancel()
    served.step()
    assert served.forward.slots.free_count == 4 and not served.forward.slots.fits(4)
    wide = ask(served, "sample(4)")
    assert together(served, [wide])[0] < 4
    assert not turns.paused


def test_nobody_is_paused_for_one_whose_rows_a_lane_measured_alone_has() -> None:
    served = engine(rows=4)
    turns = served.loop.scheduler.turns
    turns.seconds = 0.0
    first = ask(served, "sample(2)", tokens=40)
    served.step()
    alone = ask(served, "sample(2)", 1, tokens=40, alone=True)
    served.step()
    wide = ask(served, "sample(4)", 2)
    for _ in range(10):
        served.step()
        assert not turns.paused
    together(served, [first, alone, wide])


def test_one_without_memory_leaves_the_rows_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    served = engine(rows=2)
    scheduler = served.loop.scheduler
    scheduler.turns.seconds = 0.0
    first = ask(served, "sample(2)", tokens=20)
    served.step()
    large = ask(served, "sample(2)", 1)
    monkeypatch.setattr(scheduler, "has_memory", lambda run: run is not large)
    while not first.done:
        served.step()
        assert not scheduler.turns.paused
    served.drive(large)  # nobody is at work any more


def test_nothing_is_kept_of_a_paused_run_that_ended() -> None:
    served = engine(rows=2)
    turns = served.loop.scheduler.turns
    turns.seconds = 0.0
    runs = [ask(served, "sample(2)", seed) for seed in range(3)]
    while not turns.paused:
        served.step()
    for run in runs:
        run.cancel()
    served.step()
    assert all(run.done for run in runs) and not turns.paused
