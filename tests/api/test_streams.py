"""A stream sends the news of a run, gathers small ones, and pings while there are none."""

from __future__ import annotations

import asyncio
import threading

import pytest

from playground.api import events as streams
from playground.api.responses import Rewound
from playground.api.wait import until
from playground.engine import Request
from playground.engine.lanes.rows import LaneRow
from playground.engine.lanes.view import LaneView
from playground.trace import StepRecord
from strategies import Recipe, Row
from tests.api.asking import events

# Two texts, and a third row with the second one's text: 1 2, 1 3 and 1 3.
WRITTEN = [(0, None, 1), (1, 0, 2), (1, 0, 3), (0, None, 1), (1, 3, 3)]


class Shown(LaneView):
    """A lane whose shown text a test sets."""

    def __init__(self, recipe, search):
        super().__init__(recipe, [], search, showing(None))
        self.ended = "length"
        self.tree.records = [
            StepRecord.model_construct(
                index=index, parent=parent, token=token, text="x", logprob=-1.0, raw_logprob=-1.0
            )
            for index, parent, token in WRITTEN
        ]

    def show(self, node):
        self.rows = (showing(node),)

    @property
    def text(self):
        return "all"


def showing(node):
    length = 0 if node is None else WRITTEN[node][0] + 1
    return LaneRow(Row((0,) * (1 + length), 1), (), None, node, -1)


@pytest.fixture
def run(service):
    request = Request(prompt="a", recipes=[Recipe.parse("greedy")], max_new_tokens=2)
    made = service.engine().builder.run(request)
    made.lanes[0].view = Shown(request.recipes[0], made.lanes[0].search)
    return made


def told(piece):
    return [(name, data.get("id", data.get("length"))) for name, data in events(piece.decode())]


def test_a_lane_that_falls_back_to_a_shorter_text_is_cut(run):
    feed = streams.RunEvents(run, dict)

    def shows(node):
        run.views[0].show(node)
        return told(feed.next())

    assert shows(None) == []
    assert shows(1) == [("token", 1), ("token", 2)]
    assert shows(0) == [("rewind", 1)]
    assert shows(2) == [("token", 3)]
    assert shows(4) == []  # the same text, whichever row wrote it
    assert shows(None) == [("rewind", 0)]


async def stream(run, ping_s, *changes):
    """The pieces of a stream after its start; a ``change`` follows each, then some in a row."""

    async def at_once(work):
        return work()

    def answer():
        return Rewound(lane=0, length=7)

    pieces = aiter(
        streams.EventStream(streams.RunEvents(run, answer), at_once, ping_s).body_iterator
    )
    assert told(await anext(pieces))[0][0] == "start"
    for change in changes:
        asyncio.get_running_loop().call_later(*change)
    return [piece async for piece in pieces]


def test_the_first_token_is_told_at_once_and_what_comes_too_fast_together(run, monkeypatch):
    monkeypatch.setattr(streams, "FRAME_S", 1000.0)  # only the run's end comes sooner
    lane = run.views[0]

    def write(node):
        lane.show(node)
        lane.done = node == 2
        run.changed()

    steps = [(0.01 * i, write, node) for i, node in enumerate([0, 1, 0, 2])]
    first, rest, last = asyncio.run(stream(run, 1000.0, *steps))
    assert told(first) == [("token", 1)]
    assert told(rest) == [("token", 3), ("lane", None)]
    assert told(last) == [("done", 7)]


def test_a_silent_stream_says_that_it_is_there(run):
    def end():
        run.views[0].done = True
        run.changed()

    pieces = asyncio.run(stream(run, 0.01, (0.05, end)))
    assert pieces[0] == b": still here\n\n"
    assert told(pieces[-1]) == [("done", 7)]


def test_one_waits_for_a_run_that_another_thread_changes(run):
    async def waits(ready, timeout):
        threading.Timer(0.01, run.changed).start()
        return await until(ready, run, timeout)

    assert asyncio.run(waits(lambda: run.version > 0, 30))
    assert not asyncio.run(waits(lambda: run.version > 9, 0.05))
    assert asyncio.run(waits(lambda: True, 30))
    assert not run._subscribers


def test_a_server_that_went_down_does_not_stop_the_loop(run):
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(until(lambda: run.version > 0, run, 30))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    run.changed()
    assert not waiting.done()
    waiting._log_destroy_pending = False


def test_an_event_is_two_lines_to_every_reader():
    marks = "".join(map(chr, [*range(32), 0x7F, 0x85, 0xA0, 0x2028, 0x2029, 0xFEFF, 0x1F3B2]))
    told = streams.event("token", {"text": marks, "more": "a" + marks}).decode()
    assert told.endswith("\n\n") and len(told[:-2].splitlines()) == 2
    assert list(events(told)) == [("token", {"text": marks, "more": "a" + marks})]
