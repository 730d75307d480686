"""Runs that ended are packed, and come back as they were."""

from __future__ import annotations

from playground.kept import KeptRuns
from playground.recent_runs import RecentRuns
from tests.traces import COLUMNS, comparison


def runs(count):
    return [comparison(COLUMNS, length=24, run=f"run{number}") for number in range(count)]


def test_what_was_packed_comes_back_as_it_was():
    kept, (run,) = KeptRuns(3, 1 << 20), runs(1)
    kept.put(run)
    found = kept.get(run.id)
    assert found == run and found is not run
    assert kept.get(run.id) is found  # it stays unpacked for the next look
    assert kept.nbytes < len(run.to_json()) / 2
    assert kept.get("other") is None


def test_the_least_recently_used_goes_first():
    kept, (a, b, c) = KeptRuns(2, 1 << 20), runs(3)
    kept.put(a)
    kept.put(b)
    assert kept.get(a.id)
    kept.put(c)
    assert kept.get(b.id) is None and kept.get(a.id) == a and kept.get(c.id) == c


def test_they_take_no_more_bytes_than_they_may():
    (first, *others) = runs(12)
    one = KeptRuns(1, 1 << 20)
    one.put(first)
    kept = KeptRuns(100, 3 * one.nbytes + one.nbytes // 2)
    for run in (first, *others):
        kept.put(run)
        assert kept.nbytes <= kept.budget
    assert 2 <= len(kept) <= 4 and kept.get(others[-1].id) == others[-1]
    assert kept.get(first.id) is None
    nothing = KeptRuns(0, 1 << 20)
    nothing.put(first)
    assert nothing.get(first.id) is None and nothing.nbytes == 0


def test_what_takes_the_place_of_a_run_is_counted_once():
    kept, (run,) = KeptRuns(3, 1 << 20), runs(1)
    kept.put(run)
    before = kept.nbytes
    assert kept.get(run.id) == run
    named = run.model_copy(update={"seed": 11})
    kept.put(named)
    assert kept.get(run.id) == named and len(kept) == 1
    assert abs(kept.nbytes - before) < 100


def test_what_grows_is_found_as_it_is_and_kept_once_it_has_ended():
    recent, (run,) = RecentRuns(4, 1 << 20), runs(1)
    lanes = [lane.model_copy(update={"finish_reason": None}) for lane in run.lanes]
    now = [run.model_copy(update={"lanes": lanes})]
    recent.grow(run.id, lambda: now[0])
    assert recent.comparison(run.id) is now[0]
    now[0] = run
    assert recent.comparison(run.id) is run
    now.clear()
    assert recent.comparison(run.id) == run
    recent.rename(run.id, 0, "mine")
    found = recent.comparison(run.id)
    assert found is not None and found.lanes[0].name == "mine"
