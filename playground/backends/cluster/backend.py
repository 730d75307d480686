"""A model that replicas serve, as a backend of a front end.

Requests are checked and runs are made here, with the model's tokenizer, which a replica sends once.
Their records come from replicas; see ``following``.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

from playground.backends.backend import Health
from playground.backends.cluster.following import Following
from playground.backends.cluster.messages import Description, Replicas, Wants, digest
from playground.backends.cluster.parts import Followed
from playground.backends.cluster.spread import Spread
from playground.backends.of_builder import BuilderBackend
from playground.engine import Busy, EngineClosed, FieldError, Limits, Observer, Request, Run
from playground.engine.request import Cancelled, ScoreRequest
from playground.engine.scheduler.client_shares import ClientShares
from playground.errors import ModelError
from playground.models import LoadedModel
from playground.trace import StepRecord

if TYPE_CHECKING:
    from playground.engine.scoring import TokenScore
    from playground.trace.scores import TextScore
    from strategies.grammars import Grammars

log = logging.getLogger(__name__)

T = TypeVar("T")
PACE_S = 5.0  # after which a client who was refused may find room
CALL_S = 60.0  # within which a replica responds to a call that takes a forward


class EventLoop:
    """An event loop in a thread of its own, which carries all calls of a front end."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._under_way: set[Future[Any]] = set()
        self._thread = threading.Thread(target=self.loop.run_forever, name="cluster", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run ``work`` to its end and return its result, on behalf of the calling thread.

        Raises ``ModelError`` where it takes longer than ``timeout`` seconds, and stops it.
        """
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(timeout)
        except TimeoutError as error:
            if timeout is None or future.done():  # it is the error of ``work``
                raise
            future.cancel()
            raise ModelError(f"The cluster did not answer within {timeout:g} s.") from error

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Start ``work`` and return at once; its failure is logged."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        self._under_way.add(future)
        future.add_done_callback(self._done)

    def _done(self, future: Future[Any]) -> None:
        self._under_way.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None:
            log.error("work of a cluster's front end failed", exc_info=error)

    def close(self) -> None:
        async def end() -> None:
            own = asyncio.current_task()
            tasks = [task for task in asyncio.all_tasks() if task is not own]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=2) if tasks else None

        self.run(end(), 5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        if not self._thread.is_alive():
            self.loop.close()


class ClusterBackend(BuilderBackend):
    """One model over its ``Replicas``."""

    def __init__(
        self,
        replicas: Replicas,
        described: Description,
        limits: Limits,
        observer: Observer,
        loop: EventLoop,
        grammars: Grammars,
    ) -> None:
        from playground.engine.request_builder import RequestBuilder  # with transformers

        self.replicas, self.limits, self.observer, self.loop = replicas, limits, observer, loop
        self.described = described
        model = SimpleNamespace(
            config=described.config, generation_config=described.generation_config
        )
        loaded = LoadedModel(
            described.facts.id,
            model,
            described.tokenizer,
            described.facts,
            described.eos_token_ids,
            described.context_length,
        )
        self.builder = RequestBuilder(
            loaded,
            limits,
            described.rows,
            described.context_length,
            described.state_layers,
            grammars,
            draft_model=described.draft_model,
        )
        self.following = Following(replicas, secrets.token_hex(8), loop.loop)
        self._runs: dict[str, Followed] = {}
        self._shares = ClientShares(limits)
        self._closed = False
        self._lock = threading.Lock()

    @property
    def spread(self) -> Spread:
        """All replicas together, as an experiment uses them."""
        return Spread(self)

    @property
    def generation_config(self) -> Any:
        return self.described.generation_config

    def submit_all(self, requests: Sequence[Request]) -> list[Run]:
        made: list[Run] = []
        first = requests[0]
        try:
            with self._reserving(first, len(requests)):
                for request in requests:
                    made.append(self.builder.run(request))
        except (FieldError, Busy) as error:
            if isinstance(error, FieldError):
                error.number = len(made)
            self.observer.refused(requests[min(len(made), len(requests) - 1)], error)
            raise
        followed = [Followed(run, self.observer, self.limits.deadline) for run in made]
        with self._lock:
            if self._closed:
                raise EngineClosed("the backend is closed")
            self._runs.update((one.run.id, one) for one in followed)
        for one in followed:
            one.run.batch = made[0].batch
            one.run.attach(on_cancel=self._canceller(one), on_done=self._ended)
            self.observer.submitted(one.run)
            if all(lane.done for lane in one.run.lanes):  # nothing is to be written
                one.end("length")
            else:
                self.loop.start(self.following.write(one))
        return made

    def _canceller(self, one: Followed) -> Callable[[], None]:
        return lambda: self.loop.start(self.following.cancel(one))

    @contextmanager
    def _reserving(self, request: Request, count: int) -> Iterator[None]:
        """Count requests against a client's share. Raises ``Busy`` if it or the queue is full."""
        client = "" if request.background else request.client
        with self._lock:
            if self._closed:
                raise EngineClosed("the backend is closed")
            runs = [one.run for one in self._runs.values() if not one.run.request.background]
            if not request.background:
                waiting = sum(run.state == "queued" for run in runs)
                self._shares.check_room(waiting, count, PACE_S)
            self._shares.reserve(client, runs, PACE_S)
        try:
            yield
        finally:
            with self._lock:
                self._shares.release(client)

    def _ended(self, run: Run) -> None:
        with self._lock:
            self._runs.pop(run.id, None)
        self.observer.ended(run)

    def preview(self, request: Request) -> list[StepRecord | str] | None:
        run = self.builder.run(request)  # which names what cannot be run
        found = self.call("preview", run.request, wants=Wants(0, digest(run.prompt_ids)))
        return found  # type: ignore[no-any-return]

    def prefetch(self, prompt: str, chat: bool = False, split: bool = False) -> None:
        ids = [token.id for token in self.tokens(prompt, chat, split)]
        self.call("prefetch", prompt, chat, split, wants=Wants(1, digest(ids)))

    def prompt_scores(self, run: Run, count: int) -> list[TokenScore | None]:
        wants = Wants(0, digest(run.prompt_ids))
        request = run.request.model_copy(update={"client": ""})
        found: list[TokenScore | None] = self.call("prompt_scores", request, count, wants=wants)
        run.score([None if score is None else score.logprob for score in found])
        return found

    def score_text(self, request: ScoreRequest, cancelled: Callable[[], bool]) -> TextScore:
        try:
            self.builder.text_to_score(request)
        except FieldError as error:
            self.observer.refused(request, error)
            raise
        if cancelled():
            raise Cancelled
        nameless = request.model_copy(update={"client": ""})
        found: TextScore = self.call("score_text", nameless, wants=Wants())
        if cancelled():
            raise Cancelled
        return found

    def call(self, method: str, *given: Any, wants: Wants, forwards: int = 1) -> Any:
        """The response of a replica, which takes up to so many forwards; see ``Following.call``."""
        work = self.following.call(method, *given, wants=wants)
        return self.loop.run(work, forwards * CALL_S)

    def health(self) -> Health:
        loads = tuple(self.replicas.loads())
        fault = self.replicas.fault()
        alive = not fault and any(load.alive for load in loads)
        why = fault or ("" if alive else f"No replica of {self.facts.title} is up.")
        return Health(alive, why, loads)

    @property
    def people(self) -> int:
        """Runs of this front end in the queue or at work."""
        with self._lock:
            return len(self._runs)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            runs = list(self._runs.values())
        if runs:
            self.loop.run(self.following.stop(runs), CALL_S)
