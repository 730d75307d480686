"""The page's history: what is kept of a run, and how later runs compare with the pinned one."""

from __future__ import annotations

import pytest

from playground.experiment.jobs import Jobs
from playground.experiment.store import Store
from playground.explain.baseline import against
from playground.service import Service
from playground.settings import Settings
from playground.trace import Comparison
from playground.ui.archive import OFF, Archive, kept
from playground.ui.views import look_up
from tests.engine.models import engine
from tests.experiment.test_jobs import LONG, over
from tests.traces import COLUMNS, comparison

KEY = "0123456789abcdef" * 2
OTHER = "f" * 32


@pytest.fixture
def runs() -> dict[str, Comparison]:
    return {id: comparison(COLUMNS, length=8, run=id) for id in ("one", "two", "file-1")}


@pytest.fixture
def service(tmp_path):
    made = Service(Settings(models=(), history_file=tmp_path / "h.sqlite"))
    yield made
    made.close()


@pytest.fixture
def archive(service, runs):
    made = Archive(service, runs.get)
    return dict(zip(("listed", "keep", "act"), made.functions, strict=True)), made


@pytest.fixture
def jobs(service):
    served = engine(rows=8)
    served.start()
    service._jobs = made = Jobs(lambda model: served, lambda: Store(None), 500)
    yield made
    made.close()
    served.close()


def kept_by(archive, key: str, view: str):
    return archive[1]._answer(archive[1].keep, {"key": key, "view": view})


def test_a_finished_run_is_kept_and_listed_for_its_visitor(archive, runs):
    calls, _ = archive
    assert kept_by(archive, KEY, "one")["id"]
    (row,) = calls["listed"]({"key": KEY})["rows"]
    assert row["title"] == " ".join(runs["one"].prompt.split()) and len(row["columns"]) == 3
    assert calls["listed"]({"key": OTHER})["rows"] == []
    assert calls["listed"]({"key": KEY, "search": "nowhere"})["rows"] == []
    assert calls["act"]({"key": OTHER, "act": "delete", "id": row["id"]}) == {"baseline": None}
    assert len(calls["listed"]({"key": KEY})["rows"]) == 1
    calls["act"]({"key": KEY, "act": "clear"})
    assert calls["listed"]({"key": KEY})["rows"] == []


def test_what_is_unfinished_or_comes_from_elsewhere_is_not_kept(archive, runs):
    lanes = [runs["one"].lanes[0].model_copy(update={"finish_reason": None})]
    runs["going"] = runs["one"].model_copy(update={"id": "going", "lanes": lanes})
    for view in ("going", "file-1", "unknown"):
        assert "id" not in kept_by(archive, KEY, view)
    assert archive[0]["listed"]({"key": KEY})["rows"] == []


def test_a_later_run_is_held_against_the_baseline(archive, runs):
    id = kept_by(archive, KEY, "one")["id"]
    told = archive[0]["act"]({"key": KEY, "act": "pin", "id": id, "view": "one"})["baseline"]
    assert told["told"] == "These columns are it." and told["columns"] == []
    lane = runs["two"].lanes[0]
    ids = [*lane.token_ids[:3], lane.token_ids[3] + 1, *lane.token_ids[4:]]
    changed = lane.model_copy(update={"token_ids": ids})
    lanes = [changed, *runs["two"].lanes[1:]]
    runs["two"] = runs["two"].model_copy(update={"lanes": lanes, "prompt": "Another"})
    found = against(runs["two"], runs["one"])
    assert [one.index for one in found] == [3, None, None]
    told = kept_by(archive, KEY, "two")["baseline"]
    assert told["told"] == "It has another prompt."
    assert "parts from the text there at token 4" in told["columns"][0]["told"]
    assert told["columns"][1]["told"] == "the same text"
    assert archive[0]["act"]({"key": KEY, "act": "unpin", "view": "two"}) == {"baseline": None}


def test_columns_are_matched_by_name_then_recipe_then_place():
    one = comparison(COLUMNS, length=4)
    a, b, c = one.lanes
    swapped = one.model_copy(update={"lanes": [c, b.model_copy(update={"name": "mine"}), a]})
    named = one.model_copy(update={"lanes": [a.model_copy(update={"name": "mine"}), b, c]})
    assert [found.other for found in against(swapped, one)] == [2, 1, 0]
    assert [found.other for found in against(swapped, named)] == [2, 0, 0]
    assert [found.lane for found in against(one, one.model_copy(update={"lanes": [a]}))] == [0]


def test_columns_arranged_anew_make_no_other_entry(archive, runs):
    calls, made = archive
    made.resolve = lambda view: look_up(view, runs.get)
    id = kept_by(archive, KEY, "one")["id"]
    calls["act"]({"key": KEY, "act": "pin", "id": id})
    for view in ("one:2.0.1", "one:1", "one:0.0"):
        found = kept_by(archive, KEY, view)
        assert found["id"] == id and found["baseline"]["told"] == "These columns are it."
    assert len(calls["listed"]({"key": KEY})["rows"][0]["columns"]) == 3  # nothing is lost
    other = kept_by(archive, KEY, "one:0@two.1.2")["id"]
    assert kept_by(archive, KEY, "one:2.0@two.1")["id"] == other != id
    assert len(calls["listed"]({"key": KEY})["rows"]) == 2
    assert "Run" in kept_by(archive, KEY, "gone")["lost"]


def test_what_did_not_change_is_not_written_again(archive, runs, service, monkeypatch):
    calls, made = archive
    made.resolve = lambda view: look_up(view, runs.get)
    id = kept_by(archive, KEY, "one")["id"]
    before = runs["one"]
    lanes = [before.lanes[0].model_copy(update={"name": "Mine"}), *before.lanes[1:]]
    history = service.history
    written = history.rows("PRAGMA data_version"), history._database.total_changes
    monkeypatch.setattr(Comparison, "to_json", lambda self: pytest.fail("the trace is written"))
    assert kept_by(archive, KEY, "one:2.0.1")["id"] == id
    assert (history.rows("PRAGMA data_version"), history._database.total_changes) == written
    runs["one"] = before.model_copy(update={"lanes": lanes})
    assert kept_by(archive, KEY, "one:1.0")["id"] == id
    assert history._database.total_changes == written[1] + 1  # the name
    monkeypatch.undo()
    assert (
        calls["listed"]({"key": KEY, "search": "mine"})["rows"][0]["columns"][0]["name"] == "Mine"
    )
    assert kept(service, "one").to_json() == runs["one"].to_json()


def test_an_experiment_is_kept_searched_and_deleted_with_its_texts(archive, service, jobs):
    calls, _ = archive
    job = jobs.submit(LONG | {"question": "Which one?", "seeds": 1})
    keep = {"key": KEY, "experiment": job.id}
    id = archive[1]._answer(archive[1].keep, keep)["id"]
    over(job)
    assert archive[1]._answer(archive[1].keep, keep) == {"id": id}
    (row,) = calls["listed"]({"key": KEY, "search": "which TOP_K two"})["rows"]
    assert (row["kind"], row["source"], row["title"]) == ("experiment", job.id, "Which one?")
    assert row["verdict"] == job.state.verdict[0]
    assert row["columns"][0]["text"].startswith("Length")
    assert calls["act"]({"key": OTHER, "act": "clear"}) == {"baseline": None} and jobs.get(job.id)
    calls["act"]({"key": KEY, "act": "delete", "id": id})
    assert jobs.get(job.id) is None and calls["listed"]({"key": KEY})["rows"] == []
    gone = {"key": KEY, "experiment": "unknown"}
    assert "no more" in archive[1]._answer(archive[1].keep, gone)["lost"]
    again = jobs.submit(LONG | {"seeds": 1})
    archive[1]._answer(archive[1].keep, keep | {"experiment": again.id})
    assert service.delete_experiment(again.id) and not service.delete_experiment(again.id)
    assert calls["listed"]({"key": KEY})["rows"] == []


def test_a_run_that_the_process_forgot_comes_from_the_history(archive, service, runs):
    id = kept_by(archive, KEY, "one")["id"]
    assert service.comparison("one") is None
    assert kept(service, "one").to_json() == runs["one"].to_json()
    assert service.comparison("one").to_json() == runs["one"].to_json()
    assert kept(service, f"kept-{id}").id == f"kept-{id}"
    assert kept(service, "nothing") is None


def test_a_host_that_keeps_none_says_so(runs, tmp_path):
    made = Service(Settings(models=(), history=False))
    assert Archive(made, runs.get).functions[0]({"key": KEY}) == {"fault": OFF}
    assert kept(made, "one") is None
    made.close()
    public = Settings(host="0.0.0.0")
    assert not public.keeps_history and Settings().keeps_history
    assert Settings(host="0.0.0.0", history=True).keeps_history
    assert not Settings(system="spaces").keeps_history


def test_a_key_that_no_browser_made_is_refused(archive):
    for sent in ({}, {"key": "short"}, None, {"key": "G" * 32}):
        assert "fault" in archive[0]["listed"](sent)
