"""A run as server-sent events, and the response that carries them."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from playground.api.problems import Fault, Problem, unforeseen
from playground.api.waiting import ended, until
from playground.api.wire import EVENTS, Appended, Ended, Rewound, Started
from playground.engine import Run

InThread = Callable[[Callable[[], bytes]], Awaitable[bytes]]

FRAME_S = 0.03  # what comes faster is sent together: it reads no differently, and costs less


# Line breaks to Unicode, which JSON leaves as they are and many clients' line readers split at.
BREAKS = {mark.encode(): f"\\u{ord(mark):04x}".encode() for mark in "\u0085\u2028\u2029"}


def event(name: str, data: BaseModel | dict[str, Any]) -> bytes:
    """One event. ``data`` is one line of JSON to every reader, whatever it takes for a line break.

    The standard knows CR and LF alone, but ``str.splitlines`` and what is built on it know more.
    """
    body = to_json(data, inf_nan_mode="null")
    for mark, escape in BREAKS.items():
        body = body.replace(mark, escape)
    return b"event: %b\ndata: %b\n\n" % (name.encode(), body)


class Feed:
    """What is new in a run since one last looked. Never blocks; ``start`` and ``end`` are long."""

    def __init__(self, run: Run, answer: Callable[[], BaseModel]) -> None:
        """``answer`` makes what is told when the run is over."""
        self.run, self.answer = run, answer
        self.version = -1
        self.sent: list[list[int]] = [[] for _ in run.lanes]  # the records told, by number
        self.ended: set[int] = set()
        self.over = False

    def start(self) -> bytes:
        return event(
            "start",
            Started(
                id=self.run.id,
                model=self.run.facts.id,
                recipes=[str(recipe) for recipe in self.run.request.recipes],
                prompt_tokens=self.run.prompt_tokens,
            ),
        )

    def stale(self) -> bool:
        """Whether there may be something to tell."""
        return self.run.version != self.version or self.run.done

    def next(self) -> bytes:
        """The events since the last call, empty where there are none; sets ``over`` at the last."""
        self.version = self.run.version
        # Read before the lanes are: what a run holds when it is done, it holds for good.
        self.over = self.run.done
        return b"".join(piece for number in range(len(self.sent)) for piece in self._lane(number))

    def end(self) -> bytes:
        if self.run.error is not None:
            return event("error", Problem(detail=[Fault(loc=["run"], msg=self.run.error)]))
        return event("done", self.answer())

    def _lane(self, number: int) -> Iterator[bytes]:
        if number in self.ended:
            return
        lane, sent = self.run.lanes[number], self.sent[number]
        done = lane.done  # before its rows: a lane that is done writes no more
        shown, steps = lane.ordered()[0], lane.steps
        news, settled = lane.nodes(shown, sent), lane.settled(shown)
        kept = min(settled, len(shown.row.tokens) - shown.row.prompt_length - len(news))
        news = news[: settled - kept]
        told = kept
        # What another row wrote instead is no news as far as it is the same.
        for before, now in zip(sent[kept:], news, strict=False):
            if any(getattr(steps[before], n) != getattr(steps[now], n) for n in ("token", "text")):
                break
            told += 1
        if told < len(sent):
            yield event("rewind", Rewound(lane=number, length=told))
        sent[kept:] = news
        for index in range(told, len(sent)):
            yield event("token", Appended.at(number, index, steps[sent[index]]))
        if done:
            self.ended.add(number)
            last = Ended(
                lane=number, text=lane.text, finish_reason=lane.finish_reason, error=lane.error
            )
            yield event("lane", last)


class EventStream(StreamingResponse):
    """A run sent as it is written. However the response ends, the run does not outlive it."""

    media_type = "text/event-stream"

    def __init__(
        self, run: Run, answer: Callable[[], BaseModel], in_thread: InThread, ping_s: float
    ) -> None:
        self.run, self.feed = run, Feed(run, answer)
        self.in_thread, self.ping_s = in_thread, ping_s
        # A proxy that gathers a response before it passes it on would undo the streaming.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(self._events(), headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.app = scope["app"]
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.run.cancel()

    async def _events(self) -> AsyncIterator[bytes]:
        try:
            yield await self.in_thread(self.feed.start)
            spoke, frame = time.monotonic(), 0.0  # the first token is told at once
            while not self.feed.over:
                await until(self.feed.stale, self.run, spoke + self.ping_s - time.monotonic())
                rest = frame - time.monotonic()
                if rest > 0:
                    await ended(self.run, rest)
                news = self.feed.next()
                now = time.monotonic()
                if news:
                    frame = now + FRAME_S
                if news or now - spoke >= self.ping_s:
                    spoke = now
                    yield news or b": still here\n\n"
            yield await self.in_thread(self.feed.end)
        except Exception as error:  # the status line is gone: all that is left is an event
            yield event("error", Problem(detail=[unforeseen(self.app, error, ("run",))]))


def described() -> dict[str, Any]:
    """The stream as an OpenAPI media type: each event's schema, and an example of the whole."""
    example = [
        event("start", Started(id="0f3a", model="gpt2", recipes=["greedy"], prompt_tokens=[])),
        event(
            "token",
            Appended(lane=0, index=0, id=257, text=" a", logprob=0.0, raw_logprob=-2.5),
        ),
        event("lane", Ended(lane=0, text=" a", finish_reason="length")),
        b'event: done\ndata: {"lanes": ...the whole answer...}\n\n',
    ]
    schemas = [
        {"title": name, **record.model_json_schema(ref_template="#/components/schemas/{model}")}
        for name, record in EVENTS.items()
    ]
    for schema in schemas:
        schema.pop("$defs", None)  # the answer's own schema brings them
    return {"schema": {"oneOf": schemas}, "example": b"".join(example).decode()}
