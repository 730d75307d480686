"""An experiment is run once, wherever it was ended, and behind everybody else's runs."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from playground.database import DatabaseError
from playground.engine import Request
from playground.experiment.cells import Cell
from playground.experiment.experiment import Experiment, ExperimentError
from playground.experiment.kept_jobs import KeptJob, KeptJobs
from playground.experiment.runner import ExperimentFailed, Runner
from playground.experiment.sample import Sample
from playground.experiment.state import blank
from playground.experiment.store import MIGRATIONS, Store
from playground.models.provenance import Facts
from tests.engine.models import engine
from tests.test_app import ROOT

ASKED = {
    "prompts": ["one", "two", "three"],
    "recipes": ["greedy", "temperature(1.5) | sample", "top_k(3) | sample(2)"],
    "seeds": 2,
    "max_new_tokens": 6,
}


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store.sqlite") as opened:
        yield opened


def experiment(**changes):
    return Experiment.of(ASKED | changes)


def texts(runner):
    return {cell: sample.token_ids for cell, sample in runner.samples().items()}


def test_every_cell_is_written_as_a_run_by_itself_would_write_it(store):
    served = engine(rows=8)
    runner = Runner(experiment(), served, store)
    told = list(runner.run())
    assert [one.done for one in told] == list(range(1, 19))
    assert told[-1].total == 18 and told[-1].seconds_left == 0
    assert len({one.cell for one in told}) == 18
    found = texts(runner)
    for cell in (Cell(2, 1, 1), Cell(0, 2, 0)):
        run = served.submit(
            Request(
                prompt=ASKED["prompts"][cell.prompt],
                recipes=[ASKED["recipes"][cell.recipe]],
                seed=cell.seed,
                max_new_tokens=6,
            )
        )
        served.drive(run)
        assert run.comparison().lanes[0].token_ids == found[cell]


def test_a_second_run_writes_nothing_and_a_larger_experiment_only_what_is_new(store):
    served = engine(rows=8)
    list(Runner(experiment(), served, store).run())
    again = Runner(experiment(), served, store)
    assert list(again.run()) == [] and len(again.samples()) == 18
    larger = Runner(experiment(seeds=3, prompts=[*ASKED["prompts"], "four"]), served, store)
    told = list(larger.run())
    assert len(told) == 36 - 18 and told[0].done == 19
    other = Runner(experiment(max_new_tokens=5), served, store)
    assert len(list(other.run())) == 18
    before = texts(again)
    assert len(list(again.run(fresh=True))) == 18 and texts(again) == before


def test_stop_keeps_what_is_there(store):
    served = engine(rows=4)
    runner = Runner(experiment(), served, store)
    for one in runner.run():
        if one.done == 6:
            runner.stop()
    some = len(runner.samples())
    assert 6 <= some < 18 and len(store) == some
    rest = list(Runner(experiment(), served, store).run())
    assert len(rest) == 18 - some


def test_a_person_who_presses_run_waits_for_no_cell(store):
    served = engine(rows=8)
    served.start()
    try:
        runner = Runner(experiment(max_new_tokens=60), served, store)
        people, seen = [], []
        for one in runner.run():
            if one.done in (3, 6, 9):
                run = served.submit(
                    Request(prompt="me", recipes=["sample(8)"], max_new_tokens=5)
                )  # all rows: those of the experiment are given back
                assert run.join(60)
                people.append(run)
                seen.append(run.queue_position)
        assert len(people) == 3 and set(seen) == {1}
        expected = texts(runner)
    finally:
        served.close()
    with Store(None) as other:
        undisturbed = Runner(experiment(max_new_tokens=60), engine(rows=8), other)
        list(undisturbed.run())
        assert texts(undisturbed) == expected


def test_what_cannot_run_on_this_model_names_the_field(store):
    with pytest.raises(ExperimentError, match=r"^prompts\.1: The prompt has 200 tokens"):
        Runner(experiment(prompts=["a", "b" * 200]), engine(rows=8), store)
    with pytest.raises(ExperimentError, match=r"^recipes\.1: .*needs 16 rows"):
        asked = experiment(recipes=["greedy", "beam(16)"])
        Runner(asked, engine(rows=64, limits=engine(rows=8).limits.__class__(width=8)), store)


def test_a_model_that_fails_ends_it_and_keeps_what_is_written(store, monkeypatch):
    served = engine(rows=4)
    runner = Runner(experiment(), served, store)
    with pytest.raises(ExperimentFailed, match="The model failed: broken"):
        for one in runner.run():
            if one.done == 3:

                def fail(*_, **__):
                    raise RuntimeError("broken")

                monkeypatch.setattr(served.forward, "decode", fail)
    assert 3 <= len(runner.samples()) < 18


KILLED = """
import os, signal, sys
import torch
from playground.experiment.runner import Runner
from playground.experiment.store import Store
from tests.engine.models import engine
from tests.experiment.test_runner import experiment
torch.set_num_threads(1)
runner = Runner(experiment(), engine(rows=4), Store(sys.argv[1]))
for one in runner.run():
    print(one.cell.prompt, one.cell.recipe, one.cell.seed, flush=True)
    if one.done == 7:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_in_the_middle_it_goes_on_with_nothing_lost_or_run_twice(tmp_path):
    file = tmp_path / "store.sqlite"
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(file)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    told = {Cell(*map(int, line.split())) for line in ended.stdout.splitlines()}
    with Store(file) as store, Store(None) as other:
        served = engine(rows=4)
        resumed, whole = Runner(experiment(), served, store), Runner(experiment(), served, other)
        kept = resumed.samples()
        assert len(told) == 7 and told <= set(kept)  # and maybe the rest of that run
        rest = [one.cell for one in resumed.run()]
        assert len(rest) == 18 - len(kept) and not set(rest) & set(kept)
        list(whole.run())
        assert len(texts(whole)) == 18 and texts(resumed) == texts(whole)


def sample(text="a"):
    return Sample(
        text=text, token_ids=[1], logprobs=[-1.0], entropies=[0.5], finish_reason="length"
    )


def test_a_store_drops_what_was_used_longest_ago(tmp_path):
    with Store(tmp_path / "s.sqlite", most_bytes=1000) as store:
        keys = [bytes([number]) * 32 for number in range(40)]
        for number, key in enumerate(keys):
            store.put({key: sample(str(number))})
            store.has(keys[:1])  # the first is used again and again
        assert (
            store.nbytes <= 1000 and keys[0] in store.has(keys) and keys[1] not in store.has(keys)
        )
        assert store.get(keys[-1:])[keys[-1]].text == "39"
        (summed,) = store.rows("SELECT sum(bytes) FROM samples")[0]
        assert store.nbytes == summed


def test_experiments_that_ended_go_with_what_was_used_longest_ago_and_their_votes(monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr("time.time", lambda: next(clock))
    facts = Facts(
        model="m", title="m", fingerprint="0", parameters=1, device="cpu", dtype="float32",
        batch_invariant=True, machine="", versions={},
    )  # fmt: skip
    with Store(None, most_bytes=20_000, days=1) as store:
        jobs = KeptJobs(store)
        for id in ("runs", "first", "second"):
            jobs.add(KeptJob.new(id, "m", experiment(), facts))
        for id in ("first", "second"):
            jobs.conclude(id, blank(id, experiment(), "m").model_copy(update={"stage": "done"}))
            with store.transaction() as database:
                database.execute("INSERT INTO ballots VALUES (?, ?, 0, '', 3000)", (id, id))
        assert jobs.get("first").final.stage == "done" and jobs.get("runs").final is None
        number = 0

        def more():
            nonlocal number
            number += 1
            store.put({number.to_bytes(32, "big"): sample(str(number) * 500)})

        while jobs.get("first") is not None:
            more()
            assert store.nbytes <= 20_000
        assert store.rows("SELECT id FROM ballots") == [("second",)]
        assert jobs.get("second") is not None and jobs.get("runs") is not None
        kept = len(store)
        for _ in range(86_400):
            next(clock)
        more()
        assert kept > 1 and len(store) == 1  # all the others had not been used for a day
        assert jobs.get("second") is None and jobs.get("runs") is not None
        assert store.nbytes == sum(
            store.rows(f"SELECT coalesce(sum(bytes), 0) FROM {table}")[0][0]
            for table in ("samples", "jobs", "ballots")
        )


def test_a_store_of_an_earlier_form_is_brought_up_to_date_and_a_later_one_left(tmp_path):
    file = tmp_path / "s.sqlite"
    with sqlite3.connect(file) as database:  # as it was after the second migration
        for migration in MIGRATIONS[:2]:
            database.executescript(migration)
        database.execute("INSERT INTO samples VALUES (?, 1.0, 300, '')", (b"k",))
        for id, state in (("ended", "done"), ("open", "running")):
            database.execute("INSERT INTO jobs VALUES (?, 2, ?, '', '', '12', '3')", (id, state))
        database.execute("INSERT INTO ballots VALUES ('b', 'ended', 3, '12345')")
        database.execute("INSERT INTO votes VALUES ('b', 0, 'v', 0, 0, 'tie', 0)")
        database.execute("PRAGMA user_version = 2")
    with Store(file) as store:
        assert store.nbytes == 300 + 3 + 3 + 5 + 256
        assert store.rows("SELECT id, used FROM jobs ORDER BY id") == [("ended", 2), ("open", None)]
    with sqlite3.connect(file) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        database.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(DatabaseError, match="written by a later version"):
        Store(file)
    other = tmp_path / "text.txt"
    other.write_text("no database" * 100)
    with pytest.raises(DatabaseError, match="cannot be used as a store"):
        Store(other)
