"""A run as server-sent events, and the response that carries them."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from playground.api.problems import Fault, Problem, unforeseen
from playground.api.wire import EVENTS, Appended, Ended, Rewound, Started
from playground.engine import Run
from playground.trace import StepRecord

InThread = Callable[..., Awaitable[bytes | None]]


def event(name: str, data: BaseModel) -> bytes:
    """One event; JSON has no raw line break, so ``data`` is always one line."""
    return f"event: {name}\ndata: {data.model_dump_json()}\n\n".encode()


class Feed:
    """What is new in a run since one last looked. Blocks and serialises: for a worker thread."""

    def __init__(self, run: Run, answer: Callable[[], BaseModel]) -> None:
        """``answer`` makes what is told when the run is over."""
        self.run, self.answer = run, answer
        self.version = -1
        self.sent: list[list[StepRecord]] = [[] for _ in run.lanes]
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

    def next(self, timeout: float) -> bytes | None:
        """The events since the last call, waiting for the first; None once all were given.

        Empty where nothing happened within ``timeout`` seconds.
        """
        if self.over:
            return None
        self.version = self.run.wait(self.version, timeout)
        # Read before the lanes are: what a run holds when it is done, it holds for good.
        self.over = self.run.done
        news = [piece for number in range(len(self.sent)) for piece in self._lane(number)]
        if self.over:
            news.append(self._end())
        return b"".join(news)

    def _lane(self, number: int) -> Iterator[bytes]:
        if number in self.ended:
            return
        lane = self.run.lanes[number]
        done = lane.done  # before the path: a lane that is done writes no more
        sent, path = self.sent[number], lane.path()
        kept = min(len(sent), len(path))
        if kept and path[kept - 1] is not sent[kept - 1]:
            pairs = zip(sent, path, strict=False)
            kept = next((i for i, (a, b) in enumerate(pairs) if a.token != b.token), kept)
        if kept < len(sent):
            yield event("rewind", Rewound(lane=number, length=kept))
        for index, step in enumerate(path[kept:], start=kept):
            yield event("token", Appended.at(number, index, step))
        self.sent[number] = path
        if done:
            self.ended.add(number)
            ended = Ended(
                lane=number, text=lane.text, finish_reason=lane.finish_reason, error=lane.error
            )
            yield event("lane", ended)

    def _end(self) -> bytes:
        if self.run.error is not None:
            return event("error", Problem(detail=[Fault(loc=["run"], msg=self.run.error)]))
        return event("done", self.answer())


class EventStream(StreamingResponse):
    """A run sent as it is written. However the response ends, the run does not outlive it."""

    media_type = "text/event-stream"

    def __init__(
        self,
        run: Run,
        answer: Callable[[], BaseModel],
        in_thread: InThread,
        look_s: float,
        ping_s: float,
    ) -> None:
        self.run, self.answer = run, answer
        self.in_thread, self.look_s, self.ping_s = in_thread, look_s, ping_s
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
            feed = Feed(self.run, self.answer)
            yield await self.in_thread(feed.start)
            spoke = time.monotonic()
            while (news := await self.in_thread(feed.next, self.look_s)) is not None:
                if news or time.monotonic() - spoke > self.ping_s:
                    spoke = time.monotonic()
                    yield news or b": still here\n\n"
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
