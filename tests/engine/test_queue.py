"""Which runs wait, in which order, and which are refused until later."""

from __future__ import annotations

import pytest

from playground.engine import Busy, Engine, Limits, Request, Run
from tests.engine.models import engine


def ask(served: Engine, client: str, recipe: str = "sample(2)", tokens: int = 4) -> Run:
    return served.submit(
        Request(prompt=client, recipes=[recipe], max_new_tokens=tokens, client=client)
    )


def ended(served: Engine, runs: list[Run]) -> list[str]:
    """Clients in the order in which their runs began."""
    began: list[str] = []
    while not all(run.done for run in runs):
        served.step()
        for run in runs:
            if run.state != "queued" and (mark := f"{run.request.client}{run.id}") not in began:
                began.append(mark)
    return [mark[0] for mark in began]


def test_a_client_with_many_runs_waits_behind_its_own() -> None:
    served = engine(rows=2)
    runs = [ask(served, name) for name in "aaaabbc"]
    assert ended(served, runs) == ["a", "b", "c", "a", "b", "a", "a"]


def test_a_wide_run_is_not_passed_by_narrow_ones_for_ever() -> None:
    served = engine(rows=4)
    running = [ask(served, "a", tokens=9), ask(served, "b", tokens=9)]
    served.step()
    wide = ask(served, "w", "beam(4)")
    later = [ask(served, name) for name in "cdefg"]
    assert ended(served, [*running, wide, *later])[2] == "w"


def unnamed(served: Engine, tokens: int, recipe: str = "sample(2)") -> Run:
    return served.submit(Request(prompt="p", recipes=[recipe], max_new_tokens=tokens))


def test_a_short_run_does_not_wait_for_long_ones_alone() -> None:
    served = engine(rows=16)  # two of them kept from long runs
    long = [unnamed(served, 65) for _ in range(9)]
    while sum(run.state == "running" for run in long) < 7:
        served.step()
    short = [unnamed(served, 2) for _ in range(3)]
    while not short[0].done:
        served.step()
        assert sum(run.state == "running" for run in short) <= 1  # they keep to that share
    assert [run.state for run in long] == ["running"] * 7 + ["queued"] * 2


def test_a_long_run_is_not_passed_by_short_ones_for_ever() -> None:
    served = engine(rows=16)
    long = [unnamed(served, 65) for _ in range(8)]
    short = [unnamed(served, 60) for _ in range(30)]
    while long[7].state == "queued":
        served.step()
        if long[6].state == "running":
            long[0].cancel()
    assert sum(run.state != "queued" for run in short) <= 2


def test_a_long_run_alone_may_have_every_row() -> None:
    served = engine(rows=16)
    wide = unnamed(served, 65, "sample(16)")
    served.step()
    assert wide.state == "running"


def test_a_run_knows_its_position_in_the_queue() -> None:
    served = engine(rows=2)
    runs = [ask(served, name) for name in "abc"]
    assert [run.queue_position for run in runs] == [1, 2, 3]
    runs[1].cancel()
    served.step()
    assert runs[2].queue_position == 1 and runs[2].state == "queued"
    served.drive(runs[2])


def test_a_full_queue_and_a_full_share_are_refused_with_a_time() -> None:
    served = engine(rows=2, limits=Limits(waiting=3, client_runs=2))
    first = ask(served, "a")
    served.step()
    ask(served, "a")
    with pytest.raises(Busy, match="at most 2") as share:
        ask(served, "a")
    for client in ("b", "c"):
        ask(served, client)
    with pytest.raises(Busy, match="3 runs are waiting") as full:
        ask(served, "d")
    assert share.value.retry_after_s >= 1 and full.value.retry_after_s >= 1
    served.drive(first)
    served.step()
    ask(served, "d")


def test_a_refusal_counts_one_run_in_the_singular() -> None:
    served = engine(rows=2, limits=Limits(waiting=1, client_runs=1))
    ask(served, "a")
    with pytest.raises(
        Busy, match=r"^1 of your runs is still in line or at work; at most 1 is taken"
    ):
        ask(served, "a")
    with pytest.raises(Busy, match=r"^1 run is waiting already, and no more are taken"):
        ask(served, "b")


def test_requests_without_a_client_share_with_none() -> None:
    served = engine(rows=2, limits=Limits(client_runs=1))
    request = Request(prompt="p", recipes=["sample(2)"], max_new_tokens=2)
    runs = [served.submit(request) for _ in range(3)]
    for run in runs:
        served.drive(run)
    assert all(run.comparison().lanes[0].finish_reason == "length" for run in runs)


def test_a_request_that_is_being_checked_counts_to_the_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However long a check takes, one client has only so many at once, and no more begin."""
    served = engine(rows=2, limits=Limits(client_runs=2))
    with served.loop.reserving("a"), served.loop.reserving("a"):
        ask(served, "b")
        with monkeypatch.context() as patch:
            patch.setattr(served.builder, "run", lambda request: pytest.fail("it was checked"))
            with pytest.raises(Busy, match="2 of your runs are still in line"):
                ask(served, "a")
    ask(served, "a")
    ask(served, "a")
    with pytest.raises(Busy, match="2 of your runs"):
        ask(served, "a")
