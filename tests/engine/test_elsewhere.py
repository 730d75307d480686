"""A run that another engine writes, followed here; and one that is taken away from it."""

from __future__ import annotations

from itertools import islice

import pytest

from playground.api.events import RunEvents
from playground.engine import Request
from playground.engine.lent import Lent, written
from strategies import Recipe
from tests.api.asking import events
from tests.engine.models import engine

RECIPES = ("greedy", "temperature(0.9) | sample(2)", "beam(2)", 'ban_phrases(["a"]) | sample')


def asked(*recipes: str, count: int = 24) -> Request:
    made = [Recipe.parse(recipe) for recipe in recipes or RECIPES]
    return Request(prompt="abc", recipes=made, max_new_tokens=count, stop=["zq"], seed=3)


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
    lent, feed = Lent(run), RunEvents(run, run.comparison)
    ids = [[] for _ in RECIPES]
    for news in written(here, asked(), pace=0.0):
        lent.take(news)
        for name, data in events(feed.next().decode()):
            if name == "rewind":
                del ids[data["lane"]][data["length"] :]
            elif name == "token":
                ids[data["lane"]].append(data["id"])
    assert run.done and outputs(run) == outputs(own)
    assert [lane.trace.beams for lane in run.comparison().lanes] == [
        lane.trace.beams for lane in own.comparison().lanes
    ]
    assert ids == [[s.token for s in view.path()] for view in own.views]
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
        lengths = [len(view.path()) for view in run.views]
        assert all(new >= old for new, old in zip(lengths[:2], shown, strict=False))
        shown = lengths
    assert outputs(run) == outputs(own)


def test_ended_here_it_keeps_what_was_told(here, there):
    run = there.built(asked("greedy"))
    lent = Lent(run)
    for news in islice(written(here, asked("greedy"), pace=0.0), 5):
        lent.take(news)
    lent.end("deadline", "The time was up.")
    (lane,) = run.comparison().lanes
    assert run.outcome == "deadline" and lane.finish_reason == "deadline" and lane.token_ids
