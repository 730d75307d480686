"""A text that continues another one, on the page: its frames, its whole, and its column."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from playground.engine import FieldError, Request
from playground.engine.forking import fork
from playground.trace import Comparison
from playground.ui import follow as following
from playground.ui import frame_rate, strip
from playground.ui.fork import Forker, ForkRequest, called
from playground.ui.growing import Growing
from playground.ui.recipe import ColumnState
from playground.ui.views import look_up
from strategies.recipe import Recipe
from tests.engine.models import engine, finished

RECIPES = ["greedy", "presence_penalty(0.5) | temperature(1.2) | sample"]


@pytest.fixture
def served():
    return engine()


@pytest.fixture
def run(served) -> Comparison:
    asked = Request(prompt="abab", recipes=RECIPES, max_new_tokens=8, seed=3)
    return finished(served, asked).model_copy(update={"id": "run"})


@pytest.fixture
def follower(monkeypatch):
    monkeypatch.setattr(frame_rate, "FRAME_S", 0.0)
    monkeypatch.setattr(frame_rate, "FRAMES", 1e9)
    strips: Any = ["A", "B", "C"]
    return following.Follower(None, strips, "status", "first", frame_rate.FrameRate())  # type: ignore[arg-type]


def begun(served, run, follower, step=3, tokens=()):
    growing = Growing(run, 1, 0, step, "mine", served.submit(fork(run, 1, step, tokens)))

    def resolve(view):
        return look_up(view, lambda id: growing.comparison() if id == growing.id else run)

    name = f"run:0.1.0@{growing.id}"
    follower.expect_fork(name, growing, 2, resolve)
    return growing, name, resolve


def test_frames_of_one_column_lead_to_what_is_shown_at_the_end(served, run, follower):
    growing, name, resolve = begun(served, run, follower)
    frames = []
    for frame in follower.follow(name):
        frames.append(frame)
        served.step()
    _, *middle, last = frames
    assert all(set(frame) == {"C", "status"} for frame in middle)
    lengths = [len(frame["C"]["tokens"].splitlines()) for frame in middle]
    assert lengths == sorted(lengths) and 3 <= lengths[0] < lengths[-1]
    assert {frame["C"]["run"] for frame in middle} == {name}
    assert "of 5 tokens" in middle[-1]["status"]["text"]
    assert set(last) == {"A", "B", "C", "status", "first"}
    assert last["C"] == strip.shown(resolve(name), 2)
    assert last["C"]["tokens"].startswith(middle[-1]["C"]["tokens"])
    assert "Column C goes on from token 4 of column B: 5 tokens" in last["status"]["text"]
    assert last["first"] == {"run": name, "lane": 2, "step": 3, "output": 0}
    assert growing.comparison().lanes[0].token_ids == run.lanes[1].token_ids
    assert not follower.running and not follower.forks


def test_what_was_put_by_hand_is_shown_once_it_was_read(served, run, follower):
    known = run.lanes[1].trace.path()[3].candidates.ids
    put = [next(t for t in range(100) if t not in known), 50]
    growing, _, _ = begun(served, run, follower, tokens=put)
    assert growing.comparison().lanes[0].token_ids == run.lanes[1].token_ids[:3]
    served.drive(growing.run)
    whole = growing.comparison()
    assert whole.lanes[0].token_ids[:5] == [*run.lanes[1].token_ids[:3], *put]
    assert (whole.prefix, whole.max_new_tokens) == ([], 8)
    assert whole.lanes[0].forked.tokens == put and whole.lanes[0].name == "mine"
    read = Comparison.from_json(whole.to_json())
    assert read.lanes[0].token_ids == whole.lanes[0].token_ids


def test_a_fork_that_was_stopped_leaves_what_there_was(served, run, follower):
    growing, name, _ = begun(served, run, follower, tokens=[50, 60])
    follower.leave(name)
    served.step()
    assert growing.run.done and not follower.forks
    assert growing.comparison().lanes[0].token_ids == run.lanes[1].token_ids[:3]
    assert growing.comparison().lanes[0].finish_reason == "cancelled"


class Columns:
    most = 2
    run = "run"
    outputs: tuple[Any, ...] = ()

    def __init__(self, resolve):
        self.resolve = resolve

    def draw(self, columns, view):
        return {"run": view, "names": [one.name for one in columns]}


def asked(**given):
    return ForkRequest(**{"run": "run", "lane": 1, "step": 3, "recipe": RECIPES[1], **given})


def forker(run, served):
    edited = served.edited
    service: Any = SimpleNamespace(edited=lambda path, text, model: edited(path, text))
    columns: Any = Columns(lambda view: run if view == "run" else None)
    return Forker(service, columns, SimpleNamespace(busy={}, idle={}), SimpleNamespace(
        status="status", expect_fork=lambda *given: None), "fault")  # type: ignore[arg-type] # fmt: skip


def test_without_room_it_takes_the_column_that_it_began_from(served, run):
    growing = Growing(run, 0, 0, 3, "mine", served.submit(fork(run, 0, 3)))
    columns = [ColumnState(Recipe.parse(one).to_steps()) for one in RECIPES]
    told = forker(run, served)._begun(growing, columns, asked(lane=0), growing.run)
    assert told["run"] == f"run:0@{growing.id}.1" and told["names"] == ["mine", ""]
    assert "the tree keeps both" in told["status"]["text"]
    growing.run.cancel()


def test_a_place_is_a_candidate_a_step_or_an_edited_text(served, run):
    acts, path = forker(run, served), run.lanes[1].trace.path()
    token = path[3].candidates.ids[2]
    assert acts._place(asked(token=token), run) == (3, [token])
    assert acts._place(asked(step=len(path)), run) == (len(path), [])
    text = "".join(one.text for one in path[:2])
    step, tokens = acts._place(asked(text=text + "zz"), run)
    written = [*run.lanes[1].token_ids[:step], *tokens]
    assert served.builder.tokens("text", written)[-1].text == "z"
    other = next(t for t in range(200) if t not in path[3].candidates.ids)
    for given, field in (({"token": other}, "token"), ({"step": 99}, "step")):
        with pytest.raises(FieldError) as error:
            acts._place(asked(**given), run)
        assert error.value.field == field


def test_the_new_column_says_where_it_comes_from(run):
    token = run.lanes[1].trace.path()[3].candidates.ids[2]
    assert called(run, asked(), 3) == "B from 4"
    assert called(run, asked(token=token), 3).startswith("B from 4 “")
    assert called(run, asked(recipe="greedy"), 3) == "B from 4 as A"
    assert called(run, asked(text="other", recipe="sample"), 3) == "B edited at 4 as changed"
