"""One replica: an engine in a process of its own, and the runs that it writes for front ends.

It does not depend on what transports its calls. News are pulled: a front end polls each replica
that writes for it, for all its runs at once, so that one message is under way however many runs
there are, and a slow connection makes messages longer and not more.
"""

from __future__ import annotations

import asyncio
import logging
import platform
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from time import monotonic, perf_counter
from typing import Any, TypeVar

import torch

from playground.backends.backend import Load
from playground.backends.cluster.messages import (
    LEASE_S,
    POLL_S,
    Begun,
    Description,
    Kind,
    NotBegun,
    PollAnswer,
    digest,
)
from playground.backends.local import LocalBackend
from playground.engine import Busy, EngineClosed, FieldError, Request, Run
from playground.engine.news import NewsFeed
from playground.engine.request import ScoreRequest
from playground.settings import Settings
from playground.trace import StepRecord
from strategies import Refusal

log = logging.getLogger(__name__)

T = TypeVar("T")
Refused = FieldError | Busy | EngineClosed
_GATHER_S = 0.001  # from the first news of a step until those of its other runs are there
_PATIENCE_S = 20.0  # for which the texts of experiments wait until nobody's run is at work
_PROMPTS = 512  # read last, which a replica reports for routing


def of_replica(settings: Settings) -> Settings:
    """The settings of a replica.

    Front ends count the runs of their clients. Several parts of one run may be here, which would
    count as several.
    """
    return settings.changed(max_client_runs=sys.maxsize)


@dataclass
class _Written:
    """A part of a run that is written for a front end."""

    run: Run
    feed: NewsFeed
    subscription: ExitStack
    sent_end: bool = False
    changed: float = 0.0  # the time of its last change


@dataclass
class _FrontEnd:
    """A front end with the parts written for it; ``news`` is set once one of them has news.

    It is ``woken`` once for all changes of a step, since waking it releases the interpreter lock,
    for which the decode loop would then wait. ``reading`` is held by the one thread that reads the
    news.
    """

    parts: dict[str, _Written] = field(default_factory=dict)
    reading: threading.Lock = field(default_factory=threading.Lock)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    woken: bool = False
    seen: float = field(default_factory=monotonic)


class Replica:
    """An engine behind the calls of front ends, all made on one event loop."""

    def __init__(self, backend: LocalBackend, name: str) -> None:
        self.backend, self.name = backend, name
        self.kind = kind(backend)
        self._fronts: dict[str, _FrontEnd] = {}
        self._leaving = False
        self._provenance: Any = None
        self._watch: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def describe(self) -> Description:
        """What a front end needs to check requests for this model."""
        engine = self.backend.engine
        return Description(
            facts=engine.model.facts,
            tokenizer=engine.model.tokenizer,
            config=engine.model.model.config,
            generation_config=engine.model.model.generation_config,
            eos_token_ids=engine.model.eos_token_ids,
            context_length=engine.context_length,
            rows=engine.rows,
            state_layers=engine.forward.state_layers,
            draft_model=engine.drafters.title,
            kind=self.kind,
        )

    async def begin(
        self, front: str, part: str, request: Request, like: Kind | None = None
    ) -> Begun | NotBegun:
        """Queue a part of a run for a front end.

        With ``like`` only where this replica is of that kind, as for a text to continue.
        """
        if self._leaving:
            return NotBegun(self.name, "It is about to stop.")
        if like is not None and like != self.kind:
            return NotBegun(self.name, "Its numbers differ.", self.kind)
        self._loop = asyncio.get_running_loop()
        if self._watch is None:
            self._watch = asyncio.create_task(self._end_what_nobody_reads())
        if part in self._seen(front).parts:  # called twice, since the first response was lost
            return Begun(self.name, self.kind)
        submitted = asyncio.ensure_future(asyncio.to_thread(self.backend.submit_all, [request]))
        try:
            (run,) = await asyncio.shield(submitted)
        except asyncio.CancelledError:  # the front end waits no longer, and calls another replica
            submitted.add_done_callback(_cancel)
            raise
        except (Busy, EngineClosed) as error:
            return NotBegun(self.name, str(error))
        except FieldError as error:
            return NotBegun(self.name, error.message, final=True)
        known = self._seen(front)
        if part in known.parts:
            run.cancel()
            return Begun(self.name, self.kind)
        written = _Written(run, NewsFeed(run), ExitStack())
        loop = asyncio.get_running_loop()

        def changed() -> None:
            written.changed = perf_counter()
            if not known.woken:
                known.woken = True
                loop.call_soon_threadsafe(known.news.set)

        written.subscription.enter_context(run.subscribe(changed))
        known.parts[part] = written
        known.news.set()
        return Begun(self.name, self.kind)

    def _seen(self, front: str) -> _FrontEnd:
        """A front end that has just called."""
        known = self._fronts.setdefault(front, _FrontEnd())
        known.seen = monotonic()
        return known

    async def poll(self, front: str, parts: Sequence[str], wait: float = POLL_S) -> PollAnswer:
        """The news of the parts of a front end, once there are any or ``wait`` seconds passed."""
        known = self._fronts.get(front)
        if known is None:
            return PollAnswer(self.name, gone=tuple(parts), leaving=self._leaving)
        known.seen = monotonic()
        if not self._stale(known) and not self._leaving:
            known.news.clear()
            known.woken = False  # before it is looked at what has changed
            if not self._stale(known):
                try:
                    await asyncio.wait_for(known.news.wait(), wait)
                except TimeoutError:
                    pass
                await asyncio.sleep(_GATHER_S)
        known.seen = monotonic()
        # On a thread: the measures of a strategy may take long, and other calls go on.
        answer = await asyncio.to_thread(self._news, known, list(known.parts.items()))
        for name, part in list(known.parts.items()):
            if part.sent_end:
                part.subscription.close()
                del known.parts[name]
        there = {*known.parts, *answer.news, *answer.failed}
        gone = tuple(part for part in parts if part not in there)
        return replace(answer, gone=gone, leaving=self._leaving)

    def _news(self, front: _FrontEnd, parts: Sequence[tuple[str, _Written]]) -> PollAnswer:
        """The news of some parts."""
        answer = PollAnswer(self.name)
        with front.reading:
            for name, part in parts:
                if part.sent_end or not (part.feed.stale or part.run.done):
                    continue
                part.sent_end = part.run.done  # read before its news are
                answer.changed[name] = part.changed
                try:
                    answer.news[name] = part.feed.news()
                except Exception as error:  # of a strategy that measures its text
                    if not isinstance(error, Refusal):
                        log.exception("the news of a run cannot be made")
                    answer.failed[name] = str(error) or type(error).__name__
                    part.sent_end = True
                    part.run.cancel()
        return answer

    async def cancel(self, front: str, parts: Sequence[str]) -> None:
        """End parts at the next step; the last news of them are still sent."""
        known = self._fronts.get(front)
        for part in parts if known is not None else ():
            if part in known.parts:  # type: ignore[union-attr]
                known.parts[part].run.cancel()  # type: ignore[union-attr]

    async def preview(self, request: Request) -> list[StepRecord | str] | Refused | None:
        return await self._tried(lambda: self.backend.preview(request))

    async def prefetch(self, prompt: str, chat: bool, split: bool) -> None:
        await self._tried(lambda: self.backend.prefetch(prompt, chat, split))

    async def prompt_scores(self, request: Request, count: int) -> Any:
        """As ``Backend.prompt_scores``, for the prompt of a request."""

        def scores() -> Any:
            return self.backend.prompt_scores(self.backend.builder.run(request), count)

        return await self._tried(scores)

    async def provenance(self) -> Any:
        """The provenance of the model's texts, for an experiment's report."""
        if self._provenance is None:
            model = self.backend.engine.model
            self._provenance = await asyncio.to_thread(model.provenance)
        return self._provenance

    async def score_text(self, request: ScoreRequest) -> Any:
        return await self._tried(lambda: self.backend.score_text(request, lambda: False))

    async def features(self, texts: Sequence[Sequence[int]]) -> Any:
        """The hidden states of texts, as of ``Engine``; behind people's runs, but not for ever."""
        read = self.backend.engine.features
        return await self._tried(lambda: read(texts, patience_s=_PATIENCE_S))

    async def load(self) -> dict[str, Any]:
        """What front ends choose among replicas by: free rows, and the prompts read last."""
        engine = self.backend.engine
        waiting = sum(run.width for run in engine.loop.queue)
        return {
            "replica": self.name,
            "free": engine.rows - engine.rows_in_use - waiting,
            "prompts": [digest(ids) for ids in engine.prompts.latest(_PROMPTS)],
            "waiting": waiting,
            "leaving": self._leaving,
        }

    async def fares(self) -> Load:
        """Its load."""
        return replace(self.backend.health().loads[0], replica=self.name)

    async def settle(self) -> None:
        """Wait until it is as fast as it will be, for those who measure it."""
        await asyncio.to_thread(self.backend.engine.join_tracing)

    async def leave(self) -> None:
        """Take no more parts, and have front ends continue those written here elsewhere."""
        self._leaving = True
        for front in self._fronts.values():
            front.news.set()

    def close(self) -> None:
        """End every run; no call comes after this."""
        if self._watch is not None and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._watch.cancel)
        self.backend.close()

    @staticmethod
    async def _tried(work: Callable[[], T]) -> T | Refused:
        """The result of ``work`` on a thread; a refusal is returned, as it crosses processes."""
        try:
            return await asyncio.to_thread(work)
        except (FieldError, Busy, EngineClosed) as error:
            return error

    @staticmethod
    def _stale(front: _FrontEnd) -> bool:
        return any(part.feed.stale or part.run.done for part in front.parts.values())

    async def _end_what_nobody_reads(self) -> None:
        """End the runs of front ends that have not polled for too long."""
        while True:
            await asyncio.sleep(LEASE_S / 4)
            for name, front in list(self._fronts.items()):
                if monotonic() - front.seen > LEASE_S:
                    for part in front.parts.values():
                        part.subscription.close()
                        part.run.cancel()
                    del self._fronts[name]


def _cancel(submitted: asyncio.Future[list[Run]]) -> None:
    """End runs that nobody follows."""
    if not submitted.cancelled() and submitted.exception() is None:
        for run in submitted.result():
            run.cancel()


def kind(backend: LocalBackend) -> Kind:
    """The kind of this process's numbers."""
    device = backend.engine.device
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    )
    return Kind(backend.facts.dtype, name, torch.__version__)
