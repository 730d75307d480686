"""Models served in this process, each by an engine of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from playground.backends.backend import Health, Load
from playground.backends.backends import Backends
from playground.backends.of_builder import BuilderBackend
from playground.backends.opened import Opened
from playground.engine import Limits, Observer, Request, Run
from playground.errors import ModelError, UnsupportedModel
from playground.fresh_thread import run_in_fresh_thread
from playground.models import LoadedModel, Models, device
from playground.models.arrival import Estimate, Waiting
from playground.process import Process
from playground.settings import Settings
from playground.trace import StepRecord

if TYPE_CHECKING:
    from playground.engine import Engine
    from playground.engine.request import ScoreRequest
    from playground.engine.scoring import TokenScore
    from playground.trace.scores import TextScore

log = logging.getLogger(__name__)

# The share of the free memory for keys and values. On a CPU a slot takes memory only as far as it
# is written, and few texts fill theirs; a run is admitted by the memory that is free then.
_CACHE_SHARE = {"cpu": 2.0, "cuda": 0.7, "mps": 0.4}


def limits(settings: Settings) -> Limits:
    """The bounds of one run, as the host set them."""
    return Limits(
        prompt_chars=settings.max_prompt_chars,
        columns=settings.max_columns,
        new_tokens=settings.max_new_tokens,
        width=settings.max_width,
        stop_strings=settings.max_stop_strings,
        stop_chars=settings.max_stop_chars,
        deadline=settings.deadline_s,
        waiting=settings.max_waiting,
        client_runs=settings.max_client_runs,
    )


class LocalBackend(BuilderBackend):
    """A model with its engine, whose decode loop runs in a thread of this process."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.builder = engine, engine.builder

    @property
    def generation_config(self) -> Any:
        return self.engine.model.model.generation_config

    def submit_all(self, requests: Sequence[Request]) -> list[Run]:
        return self.engine.submit_all(requests)

    def preview(self, request: Request) -> list[StepRecord | str] | None:
        return run_in_fresh_thread(self.engine.preview, request)

    def prefetch(self, prompt: str, chat: bool = False, split: bool = False) -> None:
        self.engine.prefetch(prompt, chat, split)

    def prompt_scores(self, run: Run, count: int) -> list[TokenScore | None]:
        return run_in_fresh_thread(self.engine.prompt_scores, run, count)

    def score_text(self, request: ScoreRequest, cancelled: Callable[[], bool]) -> TextScore:
        return run_in_fresh_thread(self.engine.score_text, request, cancelled)

    def health(self) -> Health:
        engine = self.engine
        cuda = engine.device.type == "cuda"
        load = Load(
            alive=engine.alive,
            waiting=engine.waiting,
            running=engine.people - engine.waiting,
            rows_in_use=engine.rows_in_use,
            rows=engine.rows,
            key_value_bytes=engine.key_value_bytes,
            prompt_bytes=engine.prompts.nbytes,
            model_bytes=engine.model.facts.memory,
            device_bytes=torch.cuda.memory_allocated(engine.device) if cuda else 0,
        )
        return Health(load.alive, "" if load.alive else "Its decode loop has stopped.", (load,))

    @property
    def people(self) -> int:
        return self.engine.people

    def close(self) -> None:
        self.engine.close()


class LocalBackends(Backends):
    """Loads models and builds their engines on first use; evicts those that nobody uses."""

    models: Models

    def __init__(self, settings: Settings, process: Process, observer: Observer) -> None:
        self.settings, self.process, self.observer = settings, process, observer
        self.models = Models(settings, release=self._release, process=process)
        self._open: Opened[LocalBackend] = Opened()

    def prepare(self) -> None:
        """Import the engine and transformers.

        One thread at a time does so, as modules of transformers import each other.
        """
        with self.process.loading:
            import playground.engine.engine  # noqa: F401

    def running(self, model: str | None = None) -> LocalBackend | None:
        loaded = self.models.loaded(model)
        return None if loaded is None else self._open.get(loaded.id)

    def estimate(self, model: str) -> Estimate | None:
        return self.models.estimate(model) if self.models.needs_fetching(model) else None

    def wait_for(self, model: str) -> Waiting:
        return self.models.wait_for(model)

    def is_coming(self, model: str) -> bool:
        return self.models.arrivals.find(self.models.entry(model).id) is not None

    def open(self, model: str | None = None, waiting: Waiting | None = None) -> LocalBackend:
        if waiting is None and self.running(model) is None:
            own = self.models.wait_for(model or self.models.default)
        else:
            own = None
        try:
            return self._opened(model)
        finally:
            if own is not None:
                own.leave()

    def _opened(self, model: str | None) -> LocalBackend:
        if self.models.loaded(model) is None:
            self.prepare()
            run_in_fresh_thread(self.models.load, model)
        loaded = self.models.load(model)

        def started() -> LocalBackend:
            backend = LocalBackend(run_in_fresh_thread(self._built, loaded))
            backend.engine.start()
            return backend

        return self._open.open(loaded.id, started)

    def _built(self, loaded: LoadedModel) -> Engine:
        from playground.engine import Engine  # see ``prepare``

        budget = self.settings.cache_bytes
        where = next(loaded.model.parameters()).device
        with self.models.arrivals.loading(loaded.id) as arrival:
            arrival.reach("checking")
        try:
            return Engine(
                loaded,
                limits=limits(self.settings),
                rows=self.settings.max_rows,
                prompt_bytes=self.settings.prompt_bytes,
                observer=self.observer,
                process=self.process,
                draft=self._draft(loaded),
                find_draft=partial(self.models.draft_named, loaded),
                trace=self.settings.trace_steps,
                cache_bytes=budget or int(device.free_bytes(where) * _CACHE_SHARE[where.type]),
            )
        except UnsupportedModel as error:
            raise ModelError(
                f"{loaded.facts.title} ({loaded.facts.architecture}) cannot be served "
                f"correctly: {error}."
            ) from error

    def _draft(self, loaded: LoadedModel) -> LoadedModel | None:
        """The draft model of a model, if there is one; its failure to load is not the model's."""
        try:
            return self.models.draft(loaded)
        except ModelError as error:
            log.error("no draft model for %s: %s", loaded.id, error)
            return None

    @property
    def all(self) -> dict[str, LocalBackend]:
        return dict(self._open)

    def close(self) -> None:
        self._open.close()

    def _release(self, id: str) -> bool:
        """Close the engine of a model without runs; False where it has runs, or is being opened."""
        if id not in self._open:
            return not self._open.is_coming(id)
        backend = self._open.drop(id)
        if backend is None:
            return False
        backend.engine.join_tracing()  # a trace under way holds a reference to the model
        return True
