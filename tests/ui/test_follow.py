"""Following a run, without a browser: what a frame holds, and how an unfollowed run ends."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from playground.engine import Request, Run
from playground.ui import follow as following
from playground.ui import frame_rate, strip
from tests.engine.models import engine

TICKET = object()
STRIPS = ["A", "B", "hidden"]
ASKED = Request(
    prompt="abab",
    recipes=["temperature(1.5) | sample", "top_k(5) | temperature(0.6) | sample"],
    max_new_tokens=6,
    min_new_tokens=6,
    seed=2,
)


@pytest.fixture
def follower(monkeypatch):
    monkeypatch.setattr(frame_rate, "FRAME_S", 0.0)
    monkeypatch.setattr(frame_rate, "FRAMES", 1e9)
    return following.Follower(None, STRIPS, "status", "first", frame_rate.FrameRate())


def begun(follower, served, asked=ASKED):
    run = served.submit(asked)
    follower.running[run.id] = run
    follower.awaited[run.id] = TICKET
    return run


def test_frames_lead_to_what_is_shown_at_the_end(follower):
    served = engine()
    run = begun(follower, served)
    frames = []
    for frame in follower.follow(run.id):
        frames.append(frame)
        served.step()
    _, *middle, last = frames
    assert all(set(frame) == {*STRIPS, "status"} for frame in middle)
    assert {frame["hidden"] for frame in middle} == {None}
    lengths = [len(frame["B"]["tokens"].splitlines()) for frame in middle]
    assert lengths == [2, 3, 4, 5]
    assert "4 of 6 tokens" in middle[2]["status"]["text"]
    shown = strip.shown(run.comparison(), 1)
    assert last["B"] == shown and "top_k 5 removed" in shown["partings"]
    assert middle[-1]["B"]["partings"] == shown["partings"]
    assert shown["tokens"].startswith(middle[-1]["B"]["tokens"])
    assert not follower.running and not follower.awaited


def test_a_text_that_is_shorter_than_what_stands_there_is_not_sent(follower):
    """As where a run goes on that was lost with its server, until its end or until it is longer."""
    served = engine()
    run = begun(follower, served)
    follower.expect(run, (5, 0))
    follower.awaited[run.id] = TICKET
    sent = {"A": [], "B": []}
    for frame in follower.follow(run.id):
        for column, lengths in sent.items():
            lengths.append(len((frame.get(column) or {}).get("tokens", "").splitlines()))
        served.step()
    assert sent == {"A": [0, 0, 0, 0, 5, 6], "B": [0, 2, 3, 4, 5, 6]}
    assert not follower.stands


def test_what_a_step_measures_is_told_while_the_text_is_written(follower, monkeypatch):
    """The count of rewinds, and a watermark's z-score; at the end those of the kept run."""
    monkeypatch.setattr(following, "FIGURES_S", 0.0)
    monkeypatch.setattr(following, "FOUND_SHARE", 1.0)
    served = engine(eos=(3,))
    letters = 'constrained(regex="[a-f ]*") | ban_phrases(["a", "bd"]) | sample'
    asked = Request(
        prompt="one two three",
        recipes=[letters, "watermark | sample(2)"],
        max_new_tokens=30,
        seed=1,
    )
    run = begun(follower, served, asked)
    told = {"A": [], "B": []}
    for frame in follower.follow(run.id):
        for column, name in {"A": "taken back", "B": "watermark z"}.items():
            figures = (frame.get(column) or {}).get("figures", [])
            told[column] += [one["value"] for one in figures if one["name"] == name]
        served.step()
    times = [int(value) for value in told["A"]]
    assert times == sorted(times) and len(set(times)) > 2
    assert times[-1] == run.comparison().lanes[0].metrics.found["taken back"]
    assert len(set(told["B"])) > 10


def test_a_page_that_leaves_may_come_back_for_its_run(follower):
    served = engine()
    run = begun(follower, served)
    frames = follower.follow(run.id)
    next(frames), next(frames)
    follower._late(run.id, TICKET)
    assert not run.cancelled  # it is followed
    frames.close()
    follower._late(run.id, TICKET)  # of the time before it was followed
    assert not run.cancelled and follower.running
    assert follower.resuming(run.id)["status"]["resume"]
    assert not follower.resuming("another")
    for _ in follower.resume(run.id):
        served.step()
    assert run.outcome == "done" and not follower.running and not follower.awaited


def test_a_page_that_leaves_for_good_ends_its_run(follower):
    run = begun(follower, engine())
    frames = follower.follow(run.id)
    next(frames), next(frames)
    frames.close()
    follower._late(run.id, follower.awaited[run.id])
    assert run.cancelled and not follower.running
    last = list(follower.resume(run.id))[-1]
    assert "has ended" in last["status"]["text"]


def test_several_pages_follow_a_run_to_its_end(follower):
    served = engine()
    run = begun(follower, served)
    frames, gone, again = (f(run.id) for f in (follower.follow, follower.resume, follower.resume))
    for page in (frames, gone, again):
        next(page), next(page)
    gone.close()
    assert not follower.awaited and not run.cancelled
    told = []
    while page := next(frames, None):  # the first page, which has not noticed that it was closed
        told.append(page)
        served.step()
    *_, last = again
    assert last["B"] == told[-1]["B"] == strip.shown(run.comparison(), 1)
    assert not follower.running and not follower.awaited and not follower.watching


def test_a_page_that_turned_to_something_else_is_sent_nothing_more(follower):
    run = begun(follower, engine())
    frames = follower.follow(run.id)
    next(frames), next(frames)
    follower.leave(run.id)
    rest = list(frames)
    assert run.cancelled and not follower.running
    assert [list(frame) for frame in rest] == [[follower.status]]


def test_a_run_that_no_page_comes_for_is_ended(follower):
    run = begun(follower, engine())
    follower._late(run.id, TICKET)
    assert run.cancelled and not follower.running
    *_, told = list(follower.follow(run.id))
    assert "took too long to come back" in str(told["status"]) and set(told) == {"status"}


def test_a_refused_run_follows_no_earlier_one(follower):
    """The page still names the run it shows, which may even be running elsewhere."""
    run = begun(follower, engine())
    frames = follower.follow(run.id)
    next(frames), next(frames)
    assert [list(frame) for frame in follower.follow(run.id)] == [["status"]]
    assert not run.cancelled and run.id in follower.running
    frames.close()


@pytest.fixture
def slept(monkeypatch):
    """The seconds between frames, recorded without waiting for them."""
    slept = []
    monkeypatch.setattr(following, "time", SimpleNamespace(monotonic=lambda: 0.0))
    monkeypatch.setattr(Run, "join", lambda run, timeout: slept.append(timeout))
    return slept


def test_many_pages_share_the_frames(follower, monkeypatch, slept):
    monkeypatch.setattr(frame_rate, "FRAMES", 10)
    for other in range(29):
        follower.frame_rate.start(str(other))
    frames = follower.follow(begun(follower, engine()).id)
    next(frames), next(frames), next(frames)
    assert slept == [3.0]
    frames.close()
    assert len(follower.frame_rate.runs) == 29


def test_a_page_that_falls_behind_is_sent_fewer(follower, monkeypatch, slept):
    monkeypatch.setattr(frame_rate, "FRAME_S", 0.5)
    run, slower = begun(follower, engine()), follower.frame_rate.asked()
    other = begun(follower, engine())
    frames, others = follower.follow(run.id), follower.follow(other.id)
    next(frames), next(frames), next(others), next(others)
    for no_run in ("", "elsewhere", 7, None, [run.id]):
        slower(no_run)
    next(frames)
    slower(run.id)
    next(frames), next(others)
    assert slept == [0.5, 1.0, 0.5]
    for _ in range(9):
        slower(run.id)
    assert follower.frame_rate.interval(run.id) == frame_rate.SLOWEST_S
    for opened in (frames, others):
        opened.close()
    slower(run.id)
    assert not follower.frame_rate.runs
