"""Runs on an accelerator that a Space lends for the length of a call (ZeroGPU).

The shared loop on the CPU serves everybody. A visitor may ask for the GPU for a run: it is lent to
a forked process for as long as the run's size needs, and charged to that visitor. Where the quota
is used up, no GPU comes, or it is taken away, the run goes on in the shared loop, and says so.
"""

from __future__ import annotations

import importlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

import torch

from playground.engine import Request, Run
from playground.engine.lent import Lent, written
from playground.engine.news import News

if TYPE_CHECKING:
    from playground.engine import Engine
    from playground.service import Service
    from playground.settings import Settings

log = logging.getLogger(__name__)

COMES_S = 20.0  # within which a GPU is there, or the run goes on without it
NEWS_S = 15.0  # between two messages of news of a run that is being written
LOOK_S = 0.25  # between two looks at whether it was stopped
MOST_LENT = 4  # runs that ask for a GPU at once; further ones are written here
LEAST_S, MOST_S = 10, 120  # of what is asked for
LOAD_S = 8.0  # for a new process to load the model
STEP_S = 0.02  # for a step, and what each column adds to it
COLUMN_S = 0.003


def duration(request: Request, model: str | None = None) -> int:
    """The seconds of a GPU that a run asks for, by its size."""
    seconds = LOAD_S + request.max_new_tokens * (STEP_S + COLUMN_S * len(request.recipes))
    return round(min(MOST_S, max(LEAST_S, seconds)))


class Writer:
    """Writes runs in a process that was lent the GPU; its models stay loaded between two calls."""

    def __init__(self, settings: Settings, device: str = "cuda") -> None:
        self.settings, self.device = settings, device
        self._engines: dict[str | None, Engine] = {}

    def write(self, request: Request, model: str | None = None) -> Iterator[News]:
        """Write a run, telling what is new; a generator, as a Space lends to."""
        yield from written(self._engine(model), request)

    def _engine(self, model: str | None) -> Engine:
        if model not in self._engines:
            # This process is a copy of one with other threads: those are not in it, their locks may
            # be held for ever, and OpenMP cannot start a second pool.
            torch.set_num_threads(1)
            from playground.backends.local import limits
            from playground.engine import Engine
            from playground.models import Models
            from playground.process import Process

            settings = self.settings.changed(device=self.device, zero_gpu=False)
            process = Process()
            loaded = Models(settings, process=process).load(model)
            self._engines[model] = Engine(
                loaded, limits=limits(settings), process=process, trace=False
            )
        return self._engines[model]


@dataclass(frozen=True)
class GPU:
    """The lent accelerator: ``write`` is a ``Writer``'s, as the Space has wrapped it."""

    write: Callable[[Request, str | None], Iterator[News]]
    slots: threading.Semaphore
    comes: float = COMES_S
    news: float = NEWS_S

    @classmethod
    def of(cls, settings: Settings, device: str = "cuda") -> GPU:
        """The GPU of the Space that this is.

        Before anything asks torch for CUDA: the Space's package answers in its place. It is part of
        such a Space, and of no other installation.
        """
        spaces: Any = importlib.import_module("spaces")
        lent = spaces.GPU(duration=duration)(Writer(settings, device).write)
        return cls(lent, threading.Semaphore(MOST_LENT))

    def submit(self, service: Service, request: Request, model: str | None = None) -> Run:
        """Begin a run on the GPU; where none is to be had, it goes on in the shared loop.

        On the thread of the visitor's event, by which the Space knows whom to charge. Raises what
        ``Service.submit`` raises.
        """
        engine = service.engine(model)
        run = engine.built(request)
        by_hand = any(recipe.search.plugin.asks for recipe in request.recipes)
        if by_hand or not self.slots.acquire(blocking=False):
            engine.enqueue(run)
            service.runs.add([run])
            return run
        lent = Lent(run)
        run.notice = "Waiting for a GPU …"
        service.runs.add([run])
        told: queue.Queue[News | Exception | None] = queue.Queue()
        left = threading.Event()
        asked = request.model_copy(update={"client": ""})
        pull = threading.Thread(
            target=copy_context().run,
            args=(self._pull, asked, run.facts.id, told, left),
            name="gpu",
            daemon=True,
        )
        follow = threading.Thread(
            target=self._follow, args=(engine, lent, told, left), name="gpu-run", daemon=True
        )
        pull.start()
        follow.start()
        return run

    def _pull(
        self,
        request: Request,
        model: str | None,
        told: queue.Queue[News | Exception | None],
        left: threading.Event,
    ) -> None:
        """Ask for the GPU, and pass on what is told, until ``left``."""
        news = None
        try:
            news = self.write(request, model)
            for one in news:
                if left.is_set():
                    break
                told.put(one)
            told.put(None)
        except Exception as error:
            told.put(error)
        finally:
            if news is not None and hasattr(news, "close"):
                news.close()
            self.slots.release()

    def _follow(
        self,
        engine: Engine,
        lent: Lent,
        told: queue.Queue[News | Exception | None],
        left: threading.Event,
    ) -> None:
        """Take over what is told, until the run is done, stopped, or has to go on here."""
        run, began = lent.run, monotonic()
        most = min(run.request.deadline or engine.limits.deadline, engine.limits.deadline)
        last_news, begun = began, False
        why = ""
        while not why:
            try:
                news = told.get(timeout=LOOK_S)
            except queue.Empty:
                news = "quiet"  # type: ignore[assignment]
            now = monotonic()
            if run.cancelled or now - began > most:
                left.set()
                lent.end("cancelled" if run.cancelled else "deadline", _ended(run, most))
                return
            if isinstance(news, News):
                facts = news.facts or run.facts  # told once
                run.notice = f"Written on the GPU, in {facts.dtype}."
                lent.take(news)
                last_news, begun = now, True
                if run.done:
                    return
            elif isinstance(news, Exception):
                why = _reason(news)
            elif news is None:
                why = "The GPU was taken away"
            elif now - last_news > (self.news if begun else self.comes):
                why = "The GPU was taken away" if begun else "No GPU came free in time"
        left.set()
        there = run.facts.dtype
        lent.give_up()
        here = run.facts.dtype
        text = "with the same text" if here == there else f"in {here}, where its text may differ"
        run.notice = f"{why}; the run goes on on the CPU{f', {text}' if begun else ''}."
        log.info("a run goes on on the CPU: %s", why)
        try:
            engine.enqueue(run)
        except Exception as error:  # no room, or the engine is closed
            for view in lent.views:
                view.given_up = False
            lent.end("error", f"{why}, and the run could not go on on the CPU: {error}")


def _ended(run: Run, most: float) -> str:
    return "Stopped." if run.cancelled else f"The time of {most:.0f} s was up."


def _reason(error: Exception) -> str:
    """Why there is no GPU, from what the Space's package raised."""
    title = str(getattr(error, "title", ""))
    if "quota" in title or "credits" in title or "illegal duration" in title:
        return "Your GPU quota is used up"
    if "queue" in title or "client" in title:
        return "No GPU came free"
    log.warning("the GPU failed: %s", type(error).__name__)
    return "The GPU was taken away"
