"""A run that another engine writes, followed here; and one that it loses halfway."""

from __future__ import annotations

import threading
from itertools import islice
from types import SimpleNamespace

import pytest

from playground.api.events import RunEvents
from playground.engine import LaneView, Request
from playground.engine.elsewhere import RemoteRun, RemoteView
from playground.engine.lent import Lent, written
from playground.side_by_side import JointRun, Part
from playground.zero_gpu import GPU
from strategies import Recipe
from tests.api.asking import events
from tests.engine.models import engine

RECIPES = ("greedy", "temperature(0.9) | sample(2)", "beam(2)", 'ban_phrases(["a"]) | sample')


def asked(*recipes: str, count: int = 24) -> Request:
    made = [Recipe.parse(recipe) for recipe in recipes or RECIPES]
    return Request(prompt="abc", recipes=made, max_new_tokens=count, stop=["zq"], seed=3)


class Client:
    """What a client of a run's stream has of each lane."""

    def __init__(self, run):
        self.feed, self.ids = RunEvents(run, run.comparison), [[] for _ in run.views]

    def look(self):
        for name, data in events(self.feed.next().decode()):
            if name == "rewind":
                del self.ids[data["lane"]][data["length"] :]
            elif name == "token":
                assert len(self.ids[data["lane"]]) == data["index"]
                self.ids[data["lane"]].append(data["id"])


def outputs(run):
    return [lane.trace.outputs for lane in run.comparison().lanes]


@pytest.fixture(scope="module")
def there():
    return engine()


@pytest.fixture(scope="module")
def here():
    return engine()


def test_it_reads_as_if_it_were_written_here(here, there):
    own = here.submit(asked())
    here.drive(own)
    run = there.built(asked())
    lent, client = Lent(run), Client(run)
    for news in written(here, asked(), pace=0.0):
        lent.take(news)
        client.look()
    assert run.done and outputs(run) == outputs(own)
    assert [lane.trace.beams for lane in run.comparison().lanes] == [
        lane.trace.beams for lane in own.comparison().lanes
    ]
    assert client.ids == [[s.token for s in view.path()] for view in own.views]
    assert run.first_token >= run.queued >= 0 and run.comparison().timings.prefill > 0


@pytest.mark.parametrize("after", [1, 9])
def test_taken_away_it_goes_on_here_with_the_same_text(here, there, after):
    own = here.submit(asked())
    here.drive(own)
    run = there.built(asked())
    lent = Lent(run)
    for news in islice(written(here, asked(), pace=0.0), after):
        lent.take(news)
    lent.give_up()
    there.enqueue(run)
    shown = [len(view.path()) for view in run.views]
    while not run.done:
        there.step()
        for view in run.views:
            assert view.measured(view.ordered()[0]) is not None
        lengths = [len(view.path()) for view in run.views]
        assert all(new >= old for new, old in zip(lengths[:2], shown, strict=False))
        shown = lengths
    assert outputs(run) == outputs(own)


def test_a_client_is_told_where_another_text_takes_the_place_of_the_first(here, there):
    """As where the numbers of two engines differ; here one has another seed instead."""
    other = asked().model_copy(update={"seed": 4})
    run = there.built(other)
    lent, client = Lent(run), Client(run)
    for news in islice(written(here, asked(), pace=0.0), 9):
        lent.take(news)
        client.look()
    before = [list(ids) for ids in client.ids]
    lent.give_up()
    there.enqueue(run)
    while not run.done:
        there.step()
        client.look()
    assert client.ids == [[step.token for step in view.path()] for view in run.views]
    assert client.ids[1][: len(before[1])] != before[1]


def test_what_goes_on_has_records_with_numbers_of_its_own(here, there):
    run = there.built(asked("sample"))
    made = RemoteRun(run, [RemoteView(lane.view.recipe) for lane in run.lanes])
    client, joint = Client(run), JointRun(run.request, [Part(run, [0])])
    for news in islice(written(here, asked("sample"), pace=0.0), 9):
        made.take(news)
        client.look()
    first = run.views[0]
    told, count = [step.token for step in first.path()], len(first.path())
    assert count > 4
    made.go_on(0, 3)
    made.lost([0])
    client.look()
    assert client.ids == [told[:3]] and len(first.path()) == count
    made.begin_anew(0)
    for news in written(here, asked("sample").model_copy(update={"seed": 4}), pace=0.0):
        made.take(news)
        client.look()
        assert len(run.views[0].path()) >= 3
    assert client.ids == [[step.token for step in run.views[0].path()]]
    assert client.ids[0][:3] != told[:3]
    assert joint.done and joint.views == run.views


def test_what_strategies_find_is_found_in_a_share_of_the_time(here, monkeypatch):
    found, measured = [], LaneView.measured

    def counted(self, held):
        found.append(held)
        return measured(self, held)

    monkeypatch.setattr(LaneView, "measured", counted)
    monkeypatch.setattr("playground.engine.news.FOUND_SHARE", 1e-12)
    news = list(written(here, asked("temperature(0.9) | sample"), pace=0.0))
    assert len(news) > 20 and len(found) == 2  # at first, and once it is done


def test_ended_here_it_keeps_what_was_told(here, there):
    run = there.built(asked("greedy"))
    lent = Lent(run)
    for news in islice(written(here, asked("greedy"), pace=0.0), 5):
        lent.take(news)
    lent.end("deadline", "The time was up.")
    (lane,) = run.comparison().lanes
    assert run.outcome == "deadline" and lane.finish_reason == "deadline" and lane.token_ids


def test_a_run_on_a_lent_gpu_ends_as_it_was_written_there(here, there):
    own = here.submit(asked())
    here.drive(own)
    gpu = GPU(lambda request, _: written(there, request, pace=0.0), threading.Semaphore(1))
    service = SimpleNamespace(engine=lambda _: here, runs=SimpleNamespace(add=list))
    run = gpu.submit(service, asked())
    assert run.join(30) and run.notice == "Written on the GPU, in float32."
    assert outputs(run) == outputs(own)
