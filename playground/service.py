"""What the page and the HTTP routes share: settings, models and what serves them, recent runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from playground.backends import Backend, Backends
from playground.backends.local import LocalBackend, LocalBackends
from playground.database import DatabaseError
from playground.engine import EngineClosed, FieldError, Observers, Request, Run
from playground.errors import ModelError
from playground.history import History
from playground.models.arrival import GivenUp, Waiting
from playground.process import Process
from playground.rate_limits import RateLimits
from playground.recent_runs import RecentRuns
from playground.remembered import Remembered
from playground.settings import Settings, SettingsError
from playground.side_by_side import names_models, side_by_side
from playground.trace import Comparison, PromptToken, StepRecord

if TYPE_CHECKING:
    from playground.engine import Engine
    from playground.engine.encoder import Conversation
    from playground.engine.request import ScoreRequest
    from playground.engine.scoring import TokenScore
    from playground.experiment.jobs import Jobs
    from playground.experiment.runner import Writer
    from playground.trace.scores import TextScore
    from playground.zero_gpu import GPU
    from strategies import Context

log = logging.getLogger(__name__)


class Service:
    """One per process. Every method may be called from any thread."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.process = Process(Remembered.of(self.settings))
        self.observers = Observers()  # of the runs of all models
        self.backends = self._backends()
        self.runs = RecentRuns(self.settings.keep_runs, self.settings.keep_bytes)
        self._history: History | None = None
        self._opening = threading.Lock()  # of the history's file
        # For the page and HTTP together.
        self.rate_limits = RateLimits(self.settings.requests_allowed)
        self.page_loads = RateLimits(self.settings.page_rate)
        self._jobs: Jobs | None = None
        self._lock = threading.Lock()
        self.gpu: GPU | None = None  # that a Space lends for the length of a run
        self.failure: str | None = None  # why the host's own model could not be loaded
        self.prepare, self.models = self.backends.prepare, self.backends.models

    def _backends(self) -> Backends:
        """Where the settings have models served."""
        if self.settings.engine_url is not None:
            from playground.backends.openai.backends import OpenAIBackends

            return OpenAIBackends(self.settings, self.observers)
        if self.settings.cluster is not None:
            try:
                from playground.backends.cluster.backends import ClusterBackends
            except ModuleNotFoundError as error:
                raise SettingsError(
                    f"PLAYGROUND_CLUSTER needs the package {error.name}: "
                    "pip install -r deploy/requirements.txt"
                ) from error
            return ClusterBackends(self.settings, self.process, self.observers)
        return LocalBackends(self.settings, self.process, self.observers)

    def backend(self, model: str | None = None, waiting: Waiting | None = None) -> Backend:
        """What serves a model, opened on first use; None is the host's default.

        Raises ``ModelError`` where the model cannot be loaded or cannot be served correctly, and
        ``GivenUp`` where the caller, who waits by ``waiting``, has left and nobody else waits.
        """
        own = model in (None, self.models.default, self.settings.model)
        try:
            backend = self.backends.open(model, waiting)
        except GivenUp:  # nobody waits to be told
            raise
        except ModelError as error:
            self.failure = str(error) if own else self.failure
            raise
        self.failure = None if own else self.failure
        return backend

    def running(self, model: str | None = None) -> Backend | None:
        """What serves a model if that is open. Never waits; ``ModelError`` for one not offered."""
        return self.backends.running(model)

    def engine(self, model: str | None = None) -> Engine:
        """The engine of a model that is served in this process; ``ModelError`` where none is."""
        backend = self.backend(model)
        if not isinstance(backend, LocalBackend):
            raise ModelError(f"{backend.facts.title} is not served in this process.")
        return backend.engine

    def experiment_engine(self, model: str | None = None) -> Writer:
        """What writes the texts of experiments: a model's engine, or all its replicas."""
        backend = self.backend(model)
        spread: Writer | None = getattr(backend, "spread", None)
        return self.engine(model) if spread is None else spread

    @property
    def engines(self) -> dict[str, Engine]:
        """The running engines of this process by the model's id. Never waits for one."""
        backends = self.backends.all.items()
        return {id: b.engine for id, b in backends if isinstance(b, LocalBackend)}

    def submit(self, request: Request, model: str | None = None) -> Run:
        """Queue a run; raises ``FieldError``, ``ModelError`` or ``Busy``."""
        return self.submit_all([request], model)[0]

    def submit_all(self, requests: Sequence[Request], model: str | None = None) -> list[Run]:
        """Queue several runs of one client, which count as one, or none of them.

        Columns whose recipes name other models are written by those.
        """
        if any(map(names_models, requests)):
            runs: list[Run] = []
            try:
                for request in requests:
                    runs.append(side_by_side(self, request, model))
            except BaseException as error:
                for run in runs:
                    run.cancel()
                if isinstance(error, FieldError):
                    error.number = len(runs)
                raise
            self.runs.add(runs)
            return runs
        runs = self._submit(requests, model)
        self.runs.add(runs)
        return runs

    def submit_part(self, request: Request, model: str) -> Run:
        """Queue what one model writes of a run of several."""
        return self._submit([request], model)[0]

    def _submit(self, requests: Sequence[Request], model: str | None) -> list[Run]:
        while True:
            backend = self.backend(model)
            try:
                runs = backend.submit_all(requests)
                break
            except EngineClosed as error:  # released meanwhile, to make room for another model
                if backend in self.backends.all.values():  # no: it ended by itself
                    title = backend.facts.title
                    raise ModelError(
                        f"{title} is served no more: its decode loop has stopped."
                    ) from error
        return runs

    def submit_to_gpu(self, request: Request, model: str | None = None) -> Run:
        """The same of a run that asks for the lent GPU, on the thread of the visitor's event."""
        if self.gpu is None:
            return self.submit(request, model)
        return self.gpu.submit(self, request, model)

    @property
    def jobs(self) -> Jobs:
        """The experiments of this server."""
        with self._lock:
            if self._jobs is None:
                # What it needs of statistics and of the engine takes seconds to import.
                from playground.experiment.jobs import Jobs
                from playground.experiment.store import Store

                settings = self.settings
                self._jobs = Jobs(
                    self.experiment_engine,
                    lambda: Store(
                        settings.experiment_store or settings.cache_dir / "experiments.sqlite",
                        settings.experiment_bytes,
                        settings.experiment_days,
                    ),
                    settings.max_experiment_texts,
                )
            return self._jobs

    def delete_experiment(self, id: str) -> bool:
        """Delete one with its votes and texts, and out of histories; False where there is none."""
        found = self.jobs.delete(id)
        history = self.history if self.settings.history_at.exists() else None
        if found and history is not None:
            history.forget(id)
        return found

    def score(self, run: Run) -> None:
        """Compute the log-probability of each token of a run's prompt, given those before it.

        Where the run is cancelled meanwhile, only some tokens have theirs.
        """
        self.backend(run.facts.id).score(run)

    def prompt_scores(self, run: Run, count: int) -> list[TokenScore | None]:
        """The same, with the ``count`` likeliest tokens in the place of each."""
        return self.backend(run.facts.id).prompt_scores(run, count)

    def score_text(
        self, request: ScoreRequest, model: str | None, cancelled: Callable[[], bool]
    ) -> TextScore:
        """Whether each recipe could have generated a given text; see ``Backend.score_text``."""
        return self.backend(model).score_text(request, cancelled)

    def conversation(
        self,
        messages: Sequence[Mapping[str, str]],
        model: str | None = None,
        *,
        answer: bool = True,
        go_on: bool = False,
    ) -> Conversation:
        """Messages in a model's chat template; see ``Encoder.conversation``."""
        return self.backend(model).conversation(messages, answer=answer, go_on=go_on)

    def encode(self, text: str, model: str | None = None) -> list[int]:
        """The ids of a text by itself, nothing added."""
        return self.backend(model).encode(text)

    def decode(self, ids: Sequence[int], model: str | None = None) -> list[PromptToken]:
        """Tokens with their texts; see ``Backend.decode``."""
        return self.backend(model).decode(ids)

    def pieces(self, ids: Sequence[int], model: str | None = None) -> dict[int, str]:
        """What each token is by itself, as a candidate is shown."""
        return self.backend(model).pieces(ids)

    def edited(
        self, path: Sequence[StepRecord], text: str, model: str | None = None
    ) -> tuple[int, list[int]]:
        """How much of a recorded text stays where it was edited; see ``Backend.edited``."""
        return self.backend(model).edited(path, text)

    def tokenizer(self, model: str | None = None) -> Any:
        """A model's tokenizer, of transformers."""
        return self.backend(model).tokenizer

    def own_settings(self, model: str | None = None) -> dict[str, Any]:
        """What a model's own ``generation_config`` sets that transformers would not by itself."""
        own = self.backend(model).generation_config
        return {} if own is None else dict(own.to_diff_dict())

    def preview(self, request: Request, model: str | None = None) -> list[StepRecord | str] | None:
        """The step record of the first token under each recipe; None until the prompt is prefilled.

        A recipe that has none is answered with a sentence.
        """
        return self.backend(model).preview(request)

    def read(
        self, prompt: str, chat: bool = False, model: str | None = None, split: bool = False
    ) -> None:
        """Prefill a prompt while the engine is idle, so that a preview finds its logits."""
        self.backend(model).prefetch(prompt, chat, split)

    def comparison(self, run: str) -> Comparison | None:
        """A recent run as far as it is, or None where it is no longer kept."""
        return self.runs.comparison(run)

    def context(self, comparison: Comparison) -> Context | None:
        """What strategies may know of the model that wrote this; None where it is not loaded."""
        backend = self.backends.all.get(comparison.model.id)
        if backend is None or backend.facts.vocab_size != comparison.model.vocab_size:
            return None
        return backend.context(
            comparison.max_new_tokens, comparison.chat, comparison.split_special_tokens
        )

    @property
    def history(self) -> History | None:
        """The file of visitors' runs; None where the host keeps none, or it cannot be used."""
        if not self.settings.keeps_history:
            return None
        with self._opening:
            if self._history is None:
                at = self.settings
                try:
                    self._history = History(at.history_at, at.history_bytes, at.history_days)
                except DatabaseError as error:
                    log.error("no history is kept: %s", error)
                    return None
            return self._history

    def keep(self, comparison: Comparison) -> None:
        """Have what was put together of runs be found like a run, by its id."""
        self.runs.keep(comparison)

    def grow(self, id: str, comparison: Callable[[], Comparison]) -> None:
        """Have what is put together of runs be found, while they go on."""
        self.runs.grow(id, comparison)

    def rename(self, run: str, lane: int, name: str) -> None:
        """Set the name of a lane of a recent run; "" for none."""
        self.runs.rename(run, lane, name)

    def tokens(
        self, prompt: str, chat: bool = False, model: str | None = None, split: bool = False
    ) -> list[PromptToken]:
        """The ids a model is fed for a prompt, each with its text; see ``Encoder.prompt``."""
        return self.backend(model).tokens(prompt, chat, split)

    def close(self) -> None:
        """End every run where it is; no run can be submitted afterwards."""
        with self._lock:
            jobs = self._jobs
        if jobs is not None:
            jobs.end()
        self.backends.close()
        if jobs is not None:
            jobs.close()
        if self._history is not None:
            self._history.close()
        self.process.close()
