"""A run as server-sent events, and the streaming response that sends them."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, Protocol

from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from playground.api.errors import Fault, Problem, unforeseen
from playground.api.responses import EVENTS, Appended, Ended, Rewound, Started
from playground.api.wait import Followed, ended, until
from playground.engine import Run

InThread = Callable[[Callable[[], bytes]], Awaitable[bytes]]

FRAME_S = 0.03  # events that follow faster than this are sent together, which costs less

# Unicode's line breaks, which JSON leaves as they are and many clients' line readers split at.
_LINE_BREAKS = {mark.encode(): f"\\u{ord(mark):04x}".encode() for mark in "\u0085\u2028\u2029"}


def event(name: str, data: BaseModel | dict[str, Any]) -> bytes:
    """One event of this name, or without one where it is empty, with one line of JSON as ``data``.

    The standard splits lines at CR and LF alone; ``str.splitlines``, which clients use, also splits
    at the characters that are escaped here.
    """
    body = to_json(data, inf_nan_mode="null")
    for mark, escape in _LINE_BREAKS.items():
        body = body.replace(mark, escape)
    named = b"event: %b\n" % name.encode() if name else b""
    return b"%bdata: %b\n\n" % (named, body)


class RunEvents:
    """The events of a run: those since the last call of ``next``. No method waits for the run.

    ``start`` and ``end`` may hold a long text, so they are built on a thread.
    """

    def __init__(self, run: Run, answer: Callable[[], BaseModel]) -> None:
        """``answer`` builds the data of the last event, ``done``."""
        self.run, self.answer = run, answer
        self.version = -1
        self.sent: list[list[int]] = [[] for _ in run.views]  # of each lane, the step records sent
        self.read = run.views  # of each lane, the view whose records those are
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
        """Whether there may be new events."""
        return self.run.version != self.version or self.run.done

    def next(self) -> bytes:
        """The events since the last call, empty where there are none; sets ``over`` at the end."""
        self.version = self.run.version
        # Read before the lanes are: a run that is done does not change any more.
        self.over = self.run.done
        return b"".join(piece for number in range(len(self.sent)) for piece in self._lane(number))

    def end(self) -> bytes:
        if self.run.error is not None:
            return self.failure(Fault(loc=["run"], msg=self.run.error))
        return event("done", self.answer())

    def failure(self, fault: Fault) -> bytes:
        return event("error", Problem(detail=[fault]))

    def cancel(self) -> None:
        self.run.cancel()

    def _lane(self, number: int) -> Iterator[bytes]:
        if number in self.ended:
            return
        lane, before, sent = self.run.views[number], self.read[number], self.sent[number]
        done = lane.done  # read before its rows: a lane that is done does not change any more
        shown, steps = lane.ordered()[0], lane.steps
        # Where another process writes the lane now, its records have numbers of their own.
        known = sent if lane is before else ()
        news, settled = lane.nodes(shown, known), lane.settled(shown)
        kept = min(settled, len(lane.written(shown)) - len(news))
        news = news[: settled - kept]
        unchanged = kept
        # Where another row leads now, only its tokens that differ from those sent are sent.
        for old, new in zip(sent[kept:], news, strict=False):
            was, now = before.steps[old], steps[new]
            if (was.token, was.text) != (now.token, now.text):
                break
            unchanged += 1
        if unchanged < len(sent):
            yield event("rewind", Rewound(lane=number, length=unchanged))
        sent[kept:] = news
        self.read[number] = lane
        for index in range(unchanged, len(sent)):
            yield event("token", Appended.at(number, index, steps[sent[index]]))
        if done:
            self.ended.add(number)
            last = Ended(
                lane=number, text=lane.text, finish_reason=lane.finish_reason, error=lane.error
            )
            yield event("lane", last)


class Events(Protocol):
    """The events of one run or several. Only ``start`` and ``end`` may take long."""

    over: bool

    @property
    def run(self) -> Followed:
        """The run whose changes the stream waits for."""

    def stale(self) -> bool:
        """Whether there may be new events."""

    def start(self) -> bytes:
        """The first events."""

    def next(self) -> bytes:
        """The events since the last call; sets ``over`` at the end."""

    def end(self) -> bytes:
        """The last events."""

    def failure(self, fault: Fault) -> bytes:
        """The last event where the stream fails."""

    def cancel(self) -> None:
        """End the runs, since nobody listens any more."""


class EventStream(StreamingResponse):
    """Runs, streamed as they are written. However the response ends, they are cancelled then."""

    media_type = "text/event-stream"

    def __init__(
        self,
        events: Events,
        in_thread: InThread,
        ping_s: float,
        headers: Mapping[str, str] | None = None,
        frame_s: float = FRAME_S,
    ) -> None:
        self.events, self.in_thread, self.ping_s = events, in_thread, ping_s
        self.frame_s = frame_s
        # Proxies such as nginx buffer a response without this header.
        unbuffered = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(self._events(), headers={**unbuffered, **(headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.app = scope["app"]
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.events.cancel()

    async def _events(self) -> AsyncIterator[bytes]:
        try:
            yield await self.in_thread(self.events.start)
            last_sent, frame_end = time.monotonic(), 0.0  # the first token is sent at once
            while not self.events.over:
                await until(
                    self.events.stale, self.events.run, last_sent + self.ping_s - time.monotonic()
                )
                rest = frame_end - time.monotonic()
                if rest > 0:
                    await ended(self.events.run, rest)
                news = self.events.next()
                now = time.monotonic()
                if news:
                    frame_end = now + self.frame_s
                if news or now - last_sent >= self.ping_s:
                    last_sent = now
                    yield news or b": still here\n\n"
            yield await self.in_thread(self.events.end)
        except Exception as error:  # the status was sent long ago, so the error is an event
            yield self.events.failure(unforeseen(self.app, error, ("run",)))


def described() -> dict[str, Any]:
    """The stream as an OpenAPI media type: the schema of each event's data, and an example."""
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
        {**record.model_json_schema(ref_template="#/components/schemas/{model}"), "title": name}
        for name, record in EVENTS.items()
    ]
    for schema in schemas:
        schema.pop("$defs", None)  # the schema of the plain answer defines them
    return {"schema": {"oneOf": schemas}, "example": b"".join(example).decode()}
