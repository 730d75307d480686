"""What the page and the HTTP routes share: settings, loaded models, their engines, recent runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from playground.engine import EngineClosed, Limits, Observers, Request, Run
from playground.errors import ModelError, UnsupportedModel
from playground.fresh_thread import run_in_fresh_thread
from playground.models import LoadedModel, Models, device
from playground.process import Process
from playground.rate_limits import RateLimits
from playground.recent_runs import RecentRuns
from playground.remembered import Remembered
from playground.settings import Settings
from playground.trace import Comparison, PromptToken, StepRecord

if TYPE_CHECKING:
    from playground.engine import Engine
    from playground.engine.encoder import Conversation
    from playground.engine.request import ScoreRequest
    from playground.engine.scoring import TokenScore
    from playground.trace.scores import TextScore
    from playground.zero_gpu import GPU
    from strategies import Context

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


class Service:
    """One per process. Every method may be called from any thread."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.process = Process(Remembered.of(self.settings))
        self.models = Models(self.settings, release=self._release, process=self.process)
        self._engines: dict[str, Engine] = {}
        self._gates: dict[str, threading.Lock] = {}  # held while a model's engine is built
        self.runs = RecentRuns(self.settings.keep_runs, self.settings.keep_bytes)
        # For the page and HTTP together.
        self.rate_limits = RateLimits(self.settings.requests_allowed)
        self.page_loads = RateLimits(self.settings.page_rate)
        self.observers = Observers()  # of the runs of all engines
        self.gpu: GPU | None = None  # that a Space lends for the length of a run
        self._lock = threading.Lock()
        self._closed = False
        self.failure: str | None = None  # why the host's own model could not be loaded

    def prepare(self) -> None:
        """Import the engine and transformers, which takes seconds that a page need not wait for.

        One thread at a time does so, as modules of transformers import each other.
        """
        with self.process.loading:
            import playground.engine.engine  # noqa: F401

    def engine(self, model: str | None = None) -> Engine:
        """The engine of a model, loaded and started on first use; None is the host's default.

        Raises ``ModelError`` where the model cannot be loaded or cannot be served correctly.
        """
        own = model in (None, self.models.default, self.settings.model)
        try:
            engine = self._engine(model)
        except ModelError as error:
            self.failure = str(error) if own else self.failure
            raise
        self.failure = None if own else self.failure
        return engine

    def _engine(self, model: str | None) -> Engine:
        if self.models.loaded(model) is None:
            self.prepare()
            run_in_fresh_thread(self.models.load, model)
        loaded = self.models.load(model)
        with self._lock:
            engine = self._engines.get(loaded.id)
            gate = self._gates.setdefault(loaded.id, threading.Lock())
        if engine is not None:
            return engine
        with gate:  # one engine a model, however many threads ask; other models do not wait
            engine = self._engines.get(loaded.id)
            if engine is None:
                engine = run_in_fresh_thread(self._built, loaded)
                with self._lock:
                    if self._closed:
                        raise ModelError("The playground is shutting down.")
                    self._engines[loaded.id] = engine
                    engine.start()
            return engine

    def _built(self, loaded: LoadedModel) -> Engine:
        from playground.engine import Engine  # see ``prepare``

        budget = self.settings.cache_bytes
        place = next(loaded.model.parameters()).device
        try:
            return Engine(
                loaded,
                limits=limits(self.settings),
                rows=self.settings.max_rows,
                prompt_bytes=self.settings.prompt_bytes,
                observer=self.observers,
                process=self.process,
                draft=self._draft(loaded),
                trace=self.settings.trace_steps,
                cache_bytes=budget or int(device.free_bytes(place) * _CACHE_SHARE[place.type]),
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
    def engines(self) -> dict[str, Engine]:
        """The running engines by the model's id. Never waits for one that is being built."""
        return dict(self._engines)

    def submit(self, request: Request, model: str | None = None) -> Run:
        """Queue a run; raises ``FieldError``, ``ModelError`` or ``Busy``."""
        return self.submit_all([request], model)[0]

    def submit_all(self, requests: Sequence[Request], model: str | None = None) -> list[Run]:
        """Queue several runs of one client, which count as one, or none of them."""
        while True:
            engine = self.engine(model)
            try:
                runs = engine.submit_all(requests)
                break
            except EngineClosed as error:  # released meanwhile, to make room for another model
                with self._lock:
                    if engine in self._engines.values():  # no: it ended by itself
                        title = engine.model.facts.title
                        raise ModelError(
                            f"{title} is served no more: its decode loop has stopped."
                        ) from error
        self.runs.add(runs)
        return runs

    def submit_to_gpu(self, request: Request, model: str | None = None) -> Run:
        """The same of a run that asks for the lent GPU, on the thread of the visitor's event."""
        if self.gpu is None:
            return self.submit(request, model)
        return self.gpu.submit(self, request, model)

    def score(self, run: Run) -> None:
        """Compute the log-probability of each token of a run's prompt, given those before it.

        Where the run is cancelled meanwhile, only some tokens have theirs.
        """
        run_in_fresh_thread(self.engine(run.facts.id).score, run)

    def prompt_scores(self, run: Run, count: int) -> list[TokenScore | None]:
        """The same, with the ``count`` likeliest tokens in the place of each."""
        return run_in_fresh_thread(self.engine(run.facts.id).prompt_scores, run, count)

    def score_text(
        self, request: ScoreRequest, model: str | None, cancelled: Callable[[], bool]
    ) -> TextScore:
        """Whether each recipe could have generated a given text; see ``Engine.score_text``."""
        return run_in_fresh_thread(self.engine(model).score_text, request, cancelled)

    def conversation(
        self,
        messages: Sequence[Mapping[str, str]],
        model: str | None = None,
        *,
        answer: bool = True,
        go_on: bool = False,
    ) -> Conversation:
        """Messages in a model's chat template; see ``Encoder.conversation``."""
        return self.engine(model).conversation(messages, answer=answer, go_on=go_on)

    def encode(self, text: str, model: str | None = None) -> list[int]:
        """The ids of a text by itself, nothing added."""
        return self.engine(model).encode(text)

    def decode(self, ids: Sequence[int], model: str | None = None) -> list[PromptToken]:
        """Tokens with their texts; see ``Engine.decode``."""
        return self.engine(model).decode(ids)

    def pieces(self, ids: Sequence[int], model: str | None = None) -> dict[int, str]:
        """What each token is by itself, as a candidate is shown."""
        return self.engine(model).pieces(ids)

    def edited(
        self, path: Sequence[StepRecord], text: str, model: str | None = None
    ) -> tuple[int, list[int]]:
        """How much of a recorded text stays where it was edited; see ``Engine.edited``."""
        return self.engine(model).edited(path, text)

    def tokenizer(self, model: str | None = None) -> Any:
        """A model's tokenizer, of transformers."""
        return self.engine(model).model.tokenizer

    def own_settings(self, model: str | None = None) -> dict[str, Any]:
        """What a model's own ``generation_config`` sets that transformers would not by itself."""
        found: dict[str, Any] = self.engine(model).model.model.generation_config.to_diff_dict()
        return found

    def preview(self, request: Request, model: str | None = None) -> list[StepRecord | str] | None:
        """The step record of the first token under each recipe; None until the prompt is prefilled.

        A recipe that has none is answered with a sentence.
        """
        return run_in_fresh_thread(self.engine(model).preview, request)

    def read(
        self, prompt: str, chat: bool = False, model: str | None = None, split: bool = False
    ) -> None:
        """Prefill a prompt while the engine is idle, so that a preview finds its logits."""
        self.engine(model).prefetch(prompt, chat, split)

    def comparison(self, run: str) -> Comparison | None:
        """A recent run as far as it is, or None where it is no longer kept."""
        return self.runs.comparison(run)

    def context(self, comparison: Comparison) -> Context | None:
        """What strategies may know of the model that wrote this; None where it is not loaded."""
        engine = self._engines.get(comparison.model.id)
        if engine is None or engine.builder.facts.vocab_size != comparison.model.vocab_size:
            return None
        return engine.builder.context(
            comparison.max_new_tokens, comparison.chat, comparison.split_special_tokens
        )

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
        return self.engine(model).tokens(prompt, chat, split)

    def close(self) -> None:
        """End every run where it is; no run can be submitted afterwards."""
        with self._lock:
            self._closed = True
            engines = list(self._engines.values())
            self._engines.clear()
        for engine in engines:
            engine.close()

    def _release(self, id: str) -> bool:
        """Close the engine of a model without runs; False where runs are queued or running."""
        with self._lock:
            engine = self._engines.get(id)
            if engine is None:
                return id not in self._gates or not self._gates[id].locked()
            if engine.people:
                return False
            engine.close()
            del self._engines[id]
        engine.join_tracing()  # a trace under way holds a reference to the model
        return True
