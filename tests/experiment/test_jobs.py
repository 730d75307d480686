"""A server's experiments: begun, followed, stopped, continued, and found again after a restart."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from playground.engine.request import Busy
from playground.experiment import jobs as jobs_module
from playground.experiment.experiment import ExperimentError
from playground.experiment.jobs import Jobs
from playground.experiment.kept_jobs import KeptJobs
from playground.experiment.runner import ModelReleased
from playground.experiment.store import Store
from tests.engine.models import engine
from tests.experiment.test_runner import ASKED

LONG = ASKED | {"seeds": 4, "max_new_tokens": 30, "metrics": ["length"]}  # 36 texts


@pytest.fixture
def served():
    made = engine(rows=8)
    made.start()
    yield made
    made.close()


@pytest.fixture
def jobs(served, tmp_path):
    made = Jobs(lambda model: served, lambda: Store(tmp_path / "store.sqlite"), 500)
    yield made
    made.close()


def until(job, ready, seconds=60):
    """Wait for a state of a job."""
    came = threading.Event()
    with job.subscribe(lambda: came.set() if ready(job.state) else None):
        assert ready(job.state) or came.wait(seconds), job.state
    return job.state


def at_three(job, act):
    """Act once three texts are written, before a fourth is: on the job's own thread."""
    acted = threading.Event()

    def look():
        if job.state.done >= 3 and not acted.is_set():
            acted.set()
            act()

    with job.subscribe(look):
        look()
        assert acted.wait(60), job.state


def over(job):
    return until(job, lambda state: state.stage in ("done", "stopped", "failed"))


def test_an_experiment_is_written_measured_and_compared(jobs, served):
    job = jobs.submit(ASKED | {"metrics": ["length", "distinct_n", "self_bleu"]})
    state = over(job)
    assert (state.stage, state.done, state.total) == ("done", 18, 18)
    assert [len(row) for row in state.means] == [3, 3, 3] and state.measured == 18
    assert "±" in state.means[1][1].shown or "to" in state.means[1][1].shown
    assert len(state.pairs) == 9 and len(state.verdict) >= 3
    result = job.result()
    assert result.complete and [one.sentence for one in result.compared] == [
        pair.sentence.removesuffix(".")
        for pair in sorted(state.pairs, key=lambda p: (p.metric, p.first, p.second))
    ]
    mean = result.summary("length")[1]
    assert state.means[1][0].mean == mean.mean and state.means[1][0].low == mean.low
    texts = job.texts(1, prompt=2)
    assert [cell.seed for cell in texts] == [0, 1]


def test_a_table_fills_while_texts_are_written(jobs, monkeypatch):
    seen = []
    job = jobs.submit(LONG)
    with job.subscribe(lambda: seen.append((job.state.done, job.state.measured))):
        assert over(job).stage == "done"
    assert any(0 < done < 36 for done, _ in seen)
    assert sorted(done for done, _ in seen) == [done for done, _ in seen]


def test_what_was_stopped_keeps_what_is_there_and_goes_on(jobs, served):
    job = jobs.submit(LONG)
    at_three(job, job.stop)
    state = over(job)
    assert state.stage == "stopped" and 3 <= state.done < 36 and state.measured == state.done
    assert state.verdict
    again = jobs.go_on(job.id)
    assert again is jobs.get(job.id) and over(again).stage == "done"
    assert jobs.go_on(job.id) is again  # it has ended: nothing is to be gone on with


def test_what_ran_when_the_server_ended_goes_on_when_it_starts_again(served, tmp_path):
    def made():
        return Jobs(lambda model: served, lambda: Store(tmp_path / "store.sqlite"), 500)

    first = made()
    job = first.submit(LONG)
    at_three(job, job.close)
    first.close()
    with Store(tmp_path / "store.sqlite") as store:
        kept = len(store)
    assert 3 <= kept < 36 and job.state.stage == "running"
    second = made()
    second.resume()
    state = over(second.get(job.id))
    assert state.stage == "done" and state.done == 36
    second.close()
    third = made()
    third.resume()
    ended = third.get(job.id)  # it had ended: what it found was kept, and nothing is written
    assert ended.over and ended.state == state
    assert ended.findings().written == 36 and ended.findings() is ended.findings()
    assert third.delete(job.id) and not third.delete(job.id)
    assert third.get(job.id) is None and len(third.store) == 0
    third.close()


def test_what_is_deleted_leaves_the_texts_that_another_one_has(jobs):
    first, other = jobs.submit(LONG), jobs.submit(LONG | {"prompts": ["two"], "seeds": 5})
    over(first), over(other)
    assert len(jobs.store) == 36 + 3
    jobs.delete(first.id)
    assert len(jobs.store) == len(other.result().samples) == 15
    running = jobs.submit(LONG | {"seeds": 50})
    at_three(running, lambda: None)
    jobs.delete(running.id)
    assert over(running) and jobs.store.rows("SELECT id FROM jobs") == [(other.id,)]
    assert len(jobs.store) >= 15
    jobs.delete(other.id)
    assert jobs.store.rows("SELECT id FROM jobs") == []


def test_a_model_that_makes_room_for_another_is_asked_for_again(tmp_path, monkeypatch):
    engines = [engine(rows=8), engine(rows=8)]
    for one in engines:
        one.start()
    monkeypatch.setattr("playground.experiment.job._RELEASED_S", 0.01)
    made = Jobs(
        lambda model: next(one for one in engines if one.alive),
        lambda: Store(tmp_path / "store.sqlite"),
        500,
    )
    job = made.submit(LONG)
    at_three(job, engines[0].close)
    assert over(job).stage == "done" and job.state.done == 36
    made.close()
    engines[1].close()


def test_all_end_with_the_server_whatever_they_wait_for(served, tmp_path):
    def released(model):
        if threading.current_thread().name.startswith("job-"):
            raise ModelReleased("released")
        return served

    made = Jobs(released, lambda: Store(tmp_path / "store.sqlite"), 500)
    begun = [made.submit(LONG) for _ in range(3)]
    for job in begun[:2]:
        until(job, lambda state: "made room" in state.note)
    until(begun[2], lambda state: state.note.startswith("Waits for another"))
    made.end()
    for job in begun:
        job.join(10)  # a model that was released is asked for again after 30 s
        assert not job._thread.is_alive()
    made.close()
    with Store(tmp_path / "store.sqlite") as store:
        assert len(KeptJobs(store).unfinished()) == 3


def test_what_cannot_be_run_is_refused_with_its_field(jobs, monkeypatch):
    for change, field in (
        ({"recipes": ["topp(1)"]}, "recipes"),
        ({"prompts": [{"file": "secret.csv"}]}, "prompts"),
        ({"prompts": ["a", "b" * 200]}, "prompts.1"),
        ({"metrics": ["perplexy"]}, "metrics"),
        ({"seeds": 200}, ""),
    ):
        with pytest.raises(ExperimentError) as refused:
            jobs.submit(ASKED | change)
        assert refused.value.field.startswith(field), change
    monkeypatch.setattr(jobs_module, "MOST_OF_ONE", 1)
    job = jobs.submit(LONG, "10.0.0.1")
    with pytest.raises(Busy, match="1 experiments of yours have not ended"):
        jobs.submit(LONG, "10.0.0.1")
    jobs.submit(LONG, "10.0.0.2")
    job.stop()
    assert jobs.get("unknown") is None and jobs.stop("unknown") is False


def test_a_recipe_that_fails_is_told_and_the_others_are_measured(jobs, served):
    state = over(jobs.submit(LONG | {"recipes": ["greedy", "contrastive_decoding | greedy"]}))
    if state.failed:  # this model has no early layers to contrast
        assert state.failed[0].recipe == 1 and state.means[1][0] is None
    assert state.means[0][0] is not None and not np.isnan(state.means[0][0].mean)
