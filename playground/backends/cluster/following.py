"""Runs that replicas write for this front end, and what happens to them when a replica dies.

A run is written in parts: at first one, with all its lanes. Where its replica is lost, each lane
continues as a part of its own: from its tokens so far, where the rest of its text follows from
them, and otherwise from the beginning, while the old text stays on the page until the new one is as
long. Noise is a function of seed, position and token, and a row's numbers do not depend on its
batch, so the text is the same. Where the numbers of another replica differ in kind, the lane begins
again, and a notice says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from itertools import count
from time import perf_counter
from typing import Any

from playground.backends.cluster.messages import (
    POLL_S,
    Begun,
    Kind,
    NoReplica,
    NotBegun,
    PollAnswer,
    ReplicaLost,
    Replicas,
    Wants,
    digest,
)
from playground.backends.cluster.parts import Followed, Part, anew, from_there, resumable
from playground.engine import Busy, EngineClosed, FieldError, Request
from playground.engine.news import News
from playground.engine.request import STOPPED
from playground.errors import ModelError, first_line

log = logging.getLogger(__name__)

AGAIN_S = 0.2  # after which a replica that takes no more runs is called again
ANSWER_S = 5.0  # beyond the wait of a poll, after which its replica is considered lost
FAILURES = 5  # of calls to begin a part, for any other reason, until it is given up
WAITING_S = 3.0  # without a replica, after which the page says so
RESUMED_S = 3.0  # from the known death of a replica until others write what it wrote
TRIES = 2  # within that time, of replicas that do not answer
TRY_S = 1.0  # after each of which the next one is called


@dataclass(frozen=True)
class Hop:
    """A message with so many ``tokens``, ``seconds`` after the last of them could be read there."""

    tokens: int
    seconds: float


class Following:
    """All runs of one model and one front end; every method runs on its event loop."""

    def __init__(self, replicas: Replicas, front: str, loop: asyncio.AbstractEventLoop) -> None:
        self.replicas, self.front, self.loop = replicas, front, loop
        self._parts: dict[str, dict[str, Part]] = {}  # by replica, and by name
        # News of parts that are being begun, each with its replica, by name.
        self._early: dict[str, list[tuple[str, News]]] = {}
        self._polls: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself holds none
        self._numbers = count()
        self._stopped = False
        self.hops: list[Hop] | None = None  # a bench sets it; clocks must be the same

    async def write(self, one: Followed) -> None:
        """Have replicas write a run to its end."""
        await self._begin(self._part(one, one.lanes, anew(one, one.lanes)))

    async def cancel(self, one: Followed) -> None:
        """End a run where it is."""
        for replica, parts in list(self._parts.items()):
            names = [part.name for part in parts.values() if part.of is one]
            if names:
                await self._tell(replica, "cancel", self.front, names)
        if not any(part.of is one for parts in self._parts.values() for part in parts.values()):
            one.end("cancelled")  # no replica has it yet, or any more

    async def stop(self, runs: Sequence[Followed]) -> None:
        """End all runs, since this front end stops."""
        self._stopped = True
        for one in runs:
            one.end("cancelled", STOPPED)
        for replica, parts in list(self._parts.items()):
            await self._tell(replica, "cancel", self.front, list(parts))
        for poll in self._polls.values():
            poll.cancel()

    async def call(self, method: str, *given: Any, wants: Wants) -> Any:
        """The response of a replica; where it is lost, that of the next one.

        Raises the replica's ``FieldError`` or ``Busy``, or ``ModelError``.
        """
        for _ in range(3):
            try:
                answer = await self.replicas.call(method, *given, wants=wants)
            except ReplicaLost:
                continue
            except NoReplica as error:
                raise ModelError(str(error)) from error
            if isinstance(answer, EngineClosed):
                continue
            if isinstance(answer, FieldError | Busy):
                raise answer
            return answer
        raise ModelError("The replicas of this model die one after the other.")

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task; its failure is logged."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("following the runs of replicas failed", exc_info=error)

    async def _tell(self, replica: str, method: str, *given: Any) -> None:
        try:
            await asyncio.wait_for(self.replicas.call(method, *given, at=replica), ANSWER_S)
        except (ReplicaLost, NoReplica, TimeoutError):
            pass  # its poll finds out

    def _part(self, one: Followed, lanes: list[int], request: Request, **more: Any) -> Part:
        return Part(f"{one.run.id}-{next(self._numbers)}", one, lanes, request, **more)

    async def _begin(self, part: Part) -> None:
        """Find a replica that takes a part, for as long as the run's deadline allows."""
        one, began, pause, failures, unanswered = part.of, self.loop.time(), 0.0, 0, 0
        prompt = digest(one.run.prompt_ids)
        while not one.run.done and not self._stopped:
            if one.run.cancelled:
                one.end("cancelled")
                return
            left = one.until - perf_counter()
            if left <= 0:
                one.end("deadline")
                return
            request = part.request
            if left != float("inf"):
                request = request.model_copy(update={"deadline": max(0.01, left)})
            widths = sum(one.run.lanes[lane].width for lane in part.lanes)
            reading = len(one.run.prompt_ids) // max(1, request.max_new_tokens)
            why = ""
            self._early[part.name] = []
            hurried = part.lost is not None and unanswered < TRIES
            try:
                answer = await asyncio.wait_for(
                    self.replicas.call(
                        "begin", self.front, part.name, request, part.like,
                        wants=Wants(widths, prompt, unanswered, reading),
                    ),
                    TRY_S if hurried else ANSWER_S,
                )  # fmt: skip
            except (ReplicaLost, TimeoutError):
                answer, why = None, self.replicas.fault()
                unanswered += 1
            except NoReplica as error:
                answer, why = None, str(error)
            except Exception as error:  # of what carries the call: another may carry it
                log.exception("a replica could not be asked to begin")
                answer, why = None, type(error).__name__
                failures += 1
                if failures == FAILURES:
                    sentence = f"No replica could begin it: {first_line(error)}."
                    one.end("error", sentence, part.lanes)
                    return
            finally:
                early = self._early.pop(part.name)
            if isinstance(answer, Begun):
                self._begun(part, answer, [news for at, news in early if at == answer.replica])
                return
            if isinstance(answer, NotBegun):
                if answer.of_another_kind is not None:
                    self._of_another_kind(part, answer.of_another_kind)
                    continue
                if answer.final:
                    one.end("error", answer.why, part.lanes)
                    return
                why = answer.why
            if self.loop.time() - began > WAITING_S:
                one.run.notice = f"Waiting for a replica of the model: {why or 'none answers'}"
                one.run.changed()
            pause = min(1.0, pause + AGAIN_S)
            await asyncio.sleep(pause)

    def _begun(self, part: Part, answer: Begun, early: Sequence[News]) -> None:
        one = part.of
        if one.kind is None:
            one.kind = answer.kind
        if one.run.notice.startswith("Waiting for a replica"):
            one.run.notice = ""
        if one.run.done or one.run.cancelled or self._stopped:  # while it was being begun
            self._start(self._tell(answer.replica, "cancel", self.front, [part.name]))
        if one.run.done or self._stopped:
            return
        part.replica = answer.replica
        self._parts.setdefault(answer.replica, {})[part.name] = part
        for news in early:
            self._take(part, news)
        poll = self._polls.get(answer.replica)
        if poll is None or poll.done():
            poll = self._polls[answer.replica] = self._start(self._poll(answer.replica))
            poll.add_done_callback(lambda task: self._polled(answer.replica, task))

    def _polled(self, replica: str, poll: asyncio.Task[None]) -> None:
        """Where polling a replica failed, have others continue what it writes."""
        if not poll.cancelled() and poll.exception() is not None:
            self._lost(replica)

    def _of_another_kind(self, part: Part, kind: Kind) -> None:
        """Begin the unfinished lanes again on replicas whose numbers differ, with a notice."""
        one = part.of
        lanes = [lane for lane in part.lanes if not one.views[lane].done]
        for lane in lanes:
            one.begin_anew(lane)
        old = one.kind or kind
        differs = "in another number format" if kind.dtype != old.dtype else "on another processor"
        one.run.notice = (
            f"The replica that wrote this was lost; another writes it anew, {differs} "
            f"({kind.dtype}, {kind.processor}), where its text may differ."
        )
        part.request, part.like = anew(one, lanes), None

    async def _poll(self, replica: str) -> None:
        """Poll a replica and take over its news, as long as it writes for this front end."""
        parts = self._parts[replica]
        while parts and not self._stopped:
            try:
                answer: PollAnswer = await asyncio.wait_for(
                    self.replicas.call("poll", self.front, list(parts), POLL_S, at=replica),
                    POLL_S + ANSWER_S,
                )
            except (ReplicaLost, NoReplica, TimeoutError):
                self._lost(replica)
                return
            except Exception:  # of what carries the call
                log.exception("a replica could not be asked for news")
                self._lost(replica)
                return
            for name, why in answer.failed.items():
                if name in parts:
                    failed = parts.pop(name)
                    failed.of.end("error", why, failed.lanes)
            unknown: list[str] = []
            for name, news in answer.news.items():
                part = parts.get(name)
                if part is None and name in self._early:  # the answer to begin is on its way
                    self._early[name].append((replica, news))
                elif part is None:  # that answer was lost, and another replica was called
                    unknown.append(name)
                # What a leaving replica ended as it stopped is continued elsewhere.
                elif not (answer.leaving and any(_stopped(lane.error) for lane in news.lanes)):
                    self._take(part, news)
            if self.hops is not None:
                self._count(answer)
            if unknown:
                await self._tell(replica, "cancel", self.front, unknown)
            lost = [parts.pop(name) for name in answer.gone if name in parts]
            if answer.leaving:
                lost += [part for part in parts.values() if part not in lost]
                parts.clear()
                await self._tell(replica, "cancel", self.front, [part.name for part in lost])
            self._go_on(lost)
        if self._parts.get(replica) is parts and not parts:
            del self._parts[replica]

    def _count(self, answer: PollAnswer) -> None:
        """Record the delay of a message that was just taken over."""
        assert self.hops is not None
        tokens = sum(len(lane.steps) for news in answer.news.values() for lane in news.lanes)
        if tokens:
            self.hops.append(Hop(tokens, perf_counter() - max(answer.changed.values())))

    def _take(self, part: Part, news: News) -> None:
        """Take over the news of a part, and drop it once it is done."""
        one = part.of
        if news.state != "queued" and not one.started:
            one.started = True
            one.observer.started(one.run)
        if part.lost is not None and any(lane.steps for lane in news.lanes):
            self._resumed(part, self.loop.time() - part.lost)
        if all(lane.done for lane in news.lanes):
            self._parts.get(part.replica, {}).pop(part.name, None)
        one.take(news, part.lanes)

    def _resumed(self, part: Part, seconds: float) -> None:
        part.lost = None
        part.of.observer.resumed(part.of.run, seconds)
        if seconds > RESUMED_S:
            log.warning("run %s went on %.1f s after its replica was lost", part.of.run.id, seconds)

    def _lost(self, replica: str) -> None:
        lost = list(self._parts.pop(replica, {}).values())
        if lost and not self._stopped:
            log.warning("a replica was lost; %d parts of runs go on on others", len(lost))
        self._go_on(lost)

    def _go_on(self, lost: Sequence[Part]) -> None:
        """Have other replicas continue the unfinished lanes of lost parts."""
        now = self.loop.time()
        for part in lost:
            one = part.of
            lanes = [lane for lane in part.lanes if not one.views[lane].done]
            one.lost(lanes)
            if not lanes or self._stopped or one.run.done:
                continue
            if one.run.cancelled:
                one.end("cancelled")
                continue
            from_start = []
            for lane in lanes:
                kept = resumable(one, lane)
                if kept:
                    one.go_on(lane, kept)
                    request = from_there(one, lane, kept)
                    more = self._part(one, [lane], request, like=one.kind, lost=now)
                    self._start(self._begin(more))
                else:
                    from_start.append(lane)
            if from_start:
                for lane in from_start:
                    one.begin_anew(lane)
                request = anew(one, from_start)
                begun = any(one.views[lane].steps for lane in from_start)
                like = one.kind if begun else None
                more = self._part(one, from_start, request, like=like, lost=now)
                self._start(self._begin(more))
            one.run.changed()


def _stopped(error: str | None) -> bool:
    return error == STOPPED
