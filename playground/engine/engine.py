"""One loaded model and the loop that serves it: what the rest of the program calls."""

from __future__ import annotations

import atexit
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from playground.engine.decode.draft import Drafter
from playground.engine.decode.drafters import Drafters
from playground.engine.decode.preview import preview
from playground.engine.features import read_features
from playground.engine.forking import edited
from playground.engine.forward import Forward
from playground.engine.observer import Observer
from playground.engine.request import (
    Busy,
    EngineClosed,
    FieldError,
    Limits,
    Request,
    ScoreRequest,
)
from playground.engine.request_builder import RequestBuilder
from playground.engine.run import Run
from playground.engine.scheduler.loop import Loop
from playground.engine.scoring import TokenScore, logprobs, token_scores
from playground.engine.text_scoring import score_text
from playground.models import LoadedModel
from playground.process import Process
from playground.trace import PromptToken, StepRecord
from playground.trace.scores import TextScore


class Engine:
    """Serves one model, from a thread of its own (``start``) or the caller's (``drive``).

    Raises ``UnsupportedModel`` where the model cannot be served correctly.
    """

    def __init__(
        self,
        model: LoadedModel,
        *,
        limits: Limits | None = None,
        rows: int = 64,
        cache_bytes: int | None = None,
        prompt_bytes: int = 256 << 20,
        pack_weights: bool = True,
        trace: bool = False,
        observer: Observer | None = None,
        draft: LoadedModel | None = None,
        find_draft: Callable[[str, Callable[[], None]], LoadedModel] | None = None,
        process: Process | None = None,
    ) -> None:
        """``cache_bytes`` bound the slots, ``prompt_bytes`` the prompt cache.

        ``trace`` has forwards traced where that makes them faster, by threads of their own.
        ``draft`` is a smaller model with the same vocabulary, for searches that use a draft model;
        ``find_draft`` loads another that a recipe names, as ``Drafters`` describes.
        ``process`` is what the models of this process share.
        """
        self.model, self.limits = model, limits or Limits()
        self.forward = Forward(
            model.model,
            rows=rows,
            length=model.context_length,
            budget=cache_bytes,
            pack_weights=pack_weights,
            process=process,
        )
        self.context_length = self.forward.slots.length
        found = {
            "cache_bytes_per_token": self.forward.slots.bytes_per_token,
            "batch_invariant": self.forward.batch_invariant,
            "one_by_one": self.forward.plain and self.forward.plain.reason,
            "one_by_one_times": self.forward.plain and self.forward.plain.times,
            "eos_token_ids": list(model.eos_token_ids),
        }
        self.model = model = replace(model, facts=model.facts.model_copy(update=found))
        if trace:
            self.forward.trace()

        drafter = partial(
            Drafter,
            vocab=model.facts.vocab_size,
            pack_weights=pack_weights,
            process=self.forward.process,
            trace=trace,
        )
        self.drafters = Drafters(draft, find_draft, drafter)
        self.builder = RequestBuilder(
            model,
            self.limits,
            self.forward.slots.count,
            self.context_length,
            self.forward.state_layers,
            draft_model=self.drafters.title,
            finds_drafts=self.drafters.finds,
            grammars=self.forward.process.grammars,
        )
        self.device = self.forward.device
        self.loop = Loop(
            self.forward,
            self.builder.detokenizer,
            self.limits,
            prompt_bytes,
            self.drafters,
            observer or Observer(),
        )
        self.prompts = self.loop.scheduler.prompts
        self._scoring = threading.Lock()  # one at a time, since no memory is reserved for them
        self._thread: threading.Thread | None = None

    def submit(self, request: Request) -> Run:
        """Check a request and queue its run.

        ``FieldError`` names what cannot be run; ``Busy`` says when there may be room.
        """
        return self.submit_all([request])[0]

    def submit_all(self, requests: Sequence[Request]) -> list[Run]:
        """Check and queue several requests of one client, which count as one: all, or none."""
        runs: list[Run] = []
        request = requests[0]
        try:
            with self.loop.reserving(request.client):
                for request in requests:
                    run = self.builder.run(request)
                    self.drafters.prepare(run)
                    run.attach(on_cancel=self.loop.wake, on_done=self.loop.observer.ended)
                    runs.append(run)
                    run.batch = runs[0].batch
                self._queue(runs)
        except (FieldError, Busy) as error:
            if isinstance(error, FieldError):
                error.number = len(runs)
            self.loop.observer.refused(request, error)
            raise
        return runs

    def built(self, request: Request) -> Run:
        """A checked run that is not queued: ``enqueue`` queues it, or another process writes it.

        Raises ``FieldError`` and ``Busy`` as ``submit`` does.
        """
        try:
            with self.loop.reserving(request.client):
                run = self.builder.run(request)
                self.drafters.prepare(run)
        except (FieldError, Busy) as error:
            self.loop.observer.refused(request, error)
            raise
        run.attach(on_cancel=self.loop.wake, on_done=self.loop.observer.ended)
        return run

    def enqueue(self, run: Run) -> None:
        """Queue a run that was built here. Raises ``Busy`` where there is no room."""
        self._queue([run])

    def _queue(self, runs: list[Run]) -> None:
        """Queue runs, or end them at once where nothing is to be written."""
        if runs and all(lane.done for run in runs for lane in run.lanes):
            if self.loop.closed:
                raise EngineClosed("the engine is closed")
            for run in runs:
                self.loop.observer.submitted(run)
                run.changed()
        else:
            self.loop.add(runs)

    def prompt_logprobs(
        self, prompt: Sequence[int], cancelled: Callable[[], bool] = lambda: False
    ) -> list[float | None]:
        """Each token's log-probability, in nats, after those before it; None for the first.

        On the calling thread, beside the loop. Ends early, with fewer, where ``cancelled``.
        """
        with self._scoring:
            return logprobs(self.forward, prompt, cancelled)

    def prompt_scores(self, run: Run, count: int) -> list[TokenScore | None]:
        """Score a run's prompt as ``score`` does, with ``count`` candidates at each position."""
        with self._scoring:
            found = token_scores(self.forward, run.prompt_ids, lambda: run.cancelled, count)
        run.score([None if score is None else score.logprob for score in found])
        return found

    def score(self, run: Run) -> None:
        """Score the prompt of a run, unless it is: its tokens then have log-probabilities."""
        if run.prompt_perplexity is None:
            run.score(self.prompt_logprobs(run.prompt_ids, lambda: run.cancelled))

    def score_text(
        self, request: ScoreRequest, cancelled: Callable[[], bool] = lambda: False
    ) -> TextScore:
        """The likelihood of a given text, token by token, under the model and each recipe.

        On the calling thread, beside the loop. Raises ``FieldError``, which names what cannot be
        scored, ``Busy`` where the client has too many requests at work, and ``Cancelled``.
        """
        try:
            with self.loop.reserving(request.client):
                given = self.builder.text_to_score(request)
                with self._scoring:
                    return score_text(self.forward, given, cancelled)
        except (FieldError, Busy) as error:
            self.loop.observer.refused(request, error)
            raise

    def features(
        self,
        texts: Sequence[Sequence[int]],
        cancelled: Callable[[], bool] = lambda: False,
        patience_s: float = math.inf,
    ) -> NDArray[np.float32]:
        """The hidden state that the model has of each text's last token, ``[texts, width]``.

        On the calling thread, beside the loop and, for ``patience_s`` seconds, behind everybody's
        runs. Raises ``Cancelled`` where nobody waits any more, and ``EngineClosed``.
        """
        patience_s = patience_s if self.alive else 0.0  # nobody else would step their runs
        return read_features(self.loop, texts, self._scoring, patience_s, cancelled)

    def prefetch(self, prompt: str, chat: bool = False, split: bool = False) -> None:
        """Have a prompt read when no run waits, so that ``preview`` finds its logits."""
        ids = tuple(token.id for token in self.tokens(prompt, chat, split))
        if len(ids) < self.context_length:
            self.loop.prefetch(ids)

    def preview(self, request: Request) -> list[StepRecord | str] | None:
        """Each recipe's first step, or the sentence of its error, without a forward.

        None where the prompt is not cached: ``prefetch`` has it read. ``FieldError`` names what
        cannot be run.
        """
        run = self.builder.run(request)
        cached = self.prompts.get(run.prompt_ids)
        return preview(run, cached.output.logits, self.builder.detokenizer) if cached else None

    def tokens(self, prompt: str, chat: bool = False, split: bool = False) -> list[PromptToken]:
        """The tokens that the model reads for a prompt; see ``Encoder.prompt``."""
        return self.builder.encoder.prompt(prompt, chat, split)

    def edited(self, path: Sequence[StepRecord], text: str) -> tuple[int, list[int]]:
        """How many tokens of a recorded text a person's edit, ``text``, keeps, and the tokens that
        follow them; see ``forking.edited``.
        """
        return edited(path, text, self.builder.encoder.within)

    def pieces(self, ids: Sequence[int]) -> dict[int, str]:
        """The text of each token by itself, as a candidate is shown."""
        return {id: self.builder.detokenizer.piece(id) for id in ids}

    @property
    def rows(self) -> int:
        return self.forward.slots.count

    @property
    def rows_in_use(self) -> int:
        return self.rows - self.forward.slots.free_count

    @property
    def key_value_bytes(self) -> int:
        """Bytes of the keys and values of every token of the rows in use."""
        return self.forward.slots.bytes_per_token * sum(run.held for run in list(self.loop.runs))

    def cancel(self) -> None:
        """End every run at the next step; what is written stays."""
        for run in [*self.loop.runs, *self.loop.queue]:
            run.cancel()

    @property
    def people(self) -> int:
        """Runs in the queue or at work."""
        return len(self.loop.runs) + len(self.loop.queue)

    @property
    def waiting(self) -> int:
        """Runs in the queue."""
        return len(self.loop.queue)

    @property
    def alive(self) -> bool:
        """Whether its thread is running."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Serve from a thread of its own until ``close``."""
        self._thread = threading.Thread(target=self.loop.serve, name="decode-loop", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # torch may not be computing while Python shuts down

    def drive(self, run: Run, stepped: Callable[[], None] = lambda: None) -> None:
        """Step on the calling thread until ``run`` is done; only without ``start``.

        ``stepped`` is called after each step.
        """
        while not run.done:
            self.step()
            stepped()

    def step(self) -> None:
        """One step of the loop, on the calling thread; only without ``start``."""
        self.loop.step()

    def _forwards(self) -> list[Forward]:
        return [self.forward, *(drafter.forward for drafter in self.drafters)]

    def join_tracing(self) -> None:
        """Wait until every forward that can be traced is."""
        for forward in self._forwards():
            forward.join_tracing()

    def close(self) -> None:
        """End every run at its last whole step, and then the thread."""
        atexit.unregister(self.close)
        self.loop.close()
        for forward in self._forwards():
            forward.close()
        if self._thread is not None:
            self._thread.join()
        else:
            self.step()
