"""One submitted request: its lanes, its clock, and how other threads follow it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Literal

import torch

from playground.engine.lanes.lane import Lane
from playground.engine.lanes.view import View
from playground.engine.request import Request
from playground.metrics import measure, perplexity
from playground.models import device
from playground.trace import (
    Comparison,
    LaneResult,
    Memory,
    ModelFacts,
    PromptToken,
    StepRecord,
    Timings,
)
from strategies.ops.noise import Noise

_POSITIONS = 2  # whose noise is kept: after a rewind, rows of a lane are at different positions

State = Literal["queued", "running", "done"]
Outcome = Literal["done", "deadline", "cancelled", "error"]


class Run:
    """A request that waits, is at work, or is done. ``Engine.submit`` makes it; the loop steps it.

    Any thread may read it, wait for it, and cancel it.
    """

    def __init__(
        self,
        request: Request,
        facts: ModelFacts,
        prompt_tokens: list[PromptToken],
        lanes: list[Lane],
        tokenize: float,
    ) -> None:
        """``tokenize`` is how long the prompt took to be encoded, in seconds."""
        self.id = secrets.token_hex(8)
        self.batch = self.id  # that of the first of the runs submitted together
        self.request, self.facts, self.lanes = request, facts, lanes
        self.prompt_tokens = prompt_tokens
        self.created = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.submitted = perf_counter()
        self.queued = 0.0  # seconds before its first prefill
        self.prefills: list[float] = []
        self.tokenize = tokenize
        self.error: str | None = None
        self.queue_position = 0  # from 1; once it runs, the last it had
        self.prompt_known = False  # the prompt cache had it: nothing was left to prefill
        self.put: list[StepRecord] = []  # of the prefix's tokens that a person put there
        self.reused_tokens = 0  # of prompt and prefix: their keys and values were copied, not read
        self.cancelled = False
        self.paused = False  # in the background: it had to wait for others between its steps
        self.yielded = False  # in the background: it was ended to give its rows to others
        self.elsewhere: list[View[Any]] | None = None  # of lanes that another process writes
        self.notice = ""  # where it is written, and why, in a sentence for a person
        self.state: State = "queued"
        self.version = 0
        self._ended: float | None = None
        self.memory: Memory | None = None  # of the process that wrote it, at its end
        self._changed = threading.Condition()
        self._subscribers: list[Callable[[], None]] = []
        self._noises: dict[int, Noise] = {}  # of the last positions, by position
        self._on_cancel: Callable[[], None] = lambda: None
        self._on_done: Callable[[Run], None] = lambda run: None

    @property
    def prompt_ids(self) -> list[int]:
        """The tokens of the prompt, without those of the prefix."""
        count = len(self.prompt_tokens) - len(self.request.prefix)
        return [token.id for token in self.prompt_tokens[:count]]

    @property
    def prompt_text(self) -> str:
        """The text of the prompt's tokens, with the chat template around it."""
        return "".join(token.text for token in self.prompt_tokens)

    @property
    def prompt_perplexity(self) -> float | None:
        """Of the prompt after its first token, under the raw model; None until it is scored."""
        scores = [token.logprob for token in self.prompt_tokens if token.logprob is not None]
        return perplexity(scores)

    def score(self, logprobs: Sequence[float | None]) -> None:
        """Keep log-probabilities, in nats, of the first tokens of the prompt."""
        scored = [
            token.model_copy(update={"logprob": logprob})
            for token, logprob in zip(self.prompt_tokens, logprobs, strict=False)
        ]
        self.prompt_tokens = scored + self.prompt_tokens[len(scored) :]

    @property
    def done(self) -> bool:
        return self.state == "done"

    @property
    def width(self) -> int:
        """Rows that it owns at the same time."""
        widths = [lane.width for lane in self.lanes]
        return max(widths) if self.request.alone else sum(widths)

    @property
    def longest(self) -> int:
        """Tokens that are written one after the other, at most."""
        waves = max((lane.waves for lane in self.lanes), default=1)
        return waves * self.request.max_new_tokens

    @property
    def waiting(self) -> list[Lane]:
        """Lanes without slots as yet, in order."""
        return [
            lane
            for lane in self.lanes
            if not lane.done and not lane.slots.owned and not lane.slots.paused
        ]

    @property
    def live(self) -> list[Lane]:
        """Lanes that are being stepped."""
        return [lane for lane in self.lanes if lane.slots.owned and not lane.done]

    @property
    def views(self) -> list[View[Any]]:
        """What may be read of each lane, in order, while the loop goes on writing."""
        return [lane.view for lane in self.lanes] if self.elsewhere is None else [*self.elsewhere]

    @property
    def outcome(self) -> Outcome | None:
        """How the run as a whole ended; None until it has."""
        if not self.done:
            return None
        reasons = [view.finish_reason for view in self.views]
        if self.error is not None or all(reason == "error" for reason in reasons):
            return "error"
        early: tuple[Outcome, ...] = ("cancelled", "deadline")
        return next((outcome for outcome in early if outcome in reasons), "done")

    @property
    def first_token(self) -> float | None:
        """Seconds from its submission to the first token of any lane."""
        if self.elsewhere is not None:  # their times count from its submission
            return min((view.steps[0].at for view in self.views if view.steps), default=None)
        firsts = [lane.started + lane.view.steps[0].at for lane in self.lanes if lane.view.steps]
        return min(firsts) - self.submitted if firsts else None

    @property
    def held(self) -> int:
        """Tokens whose keys and values it keeps in slots."""
        return sum(lane.kept for lane in self.live)

    def facts_of(self, lane: int) -> ModelFacts:
        """The model that writes a lane."""
        return self.facts

    def cancel(self) -> None:
        """End the run at the next step; what is written stays."""
        self.cancelled = True
        self._on_cancel()

    def attach(self, on_cancel: Callable[[], None], on_done: Callable[[Run], None]) -> None:
        """Call ``on_cancel`` when the run is cancelled, and ``on_done`` once, when it is done."""
        self._on_cancel, self._on_done = on_cancel, on_done

    def wait(self, version: int, timeout: float | None = None) -> int:
        """Block until ``version`` is outdated or ``timeout`` seconds passed; the version now."""
        with self._changed:
            self._changed.wait_for(lambda: self.version != version or self.done, timeout)
            return self.version

    def join(self, timeout: float | None = None) -> bool:
        """Block until it is done; False where ``timeout`` seconds passed first."""
        with self._changed:
            return self._changed.wait_for(lambda: self.done, timeout)

    @contextmanager
    def subscribe(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call ``callback`` after every change, on the loop's thread: it may not block."""
        with self._changed:
            self._subscribers.append(callback)
        try:
            yield
        finally:
            with self._changed:
                self._subscribers.remove(callback)

    def changed(self) -> None:
        """Wake every thread that waits, and call every subscriber. The loop calls it."""
        with self._changed:
            self.version += 1
            for number, view in enumerate(self.elsewhere or ()):
                self.elsewhere[number] = view.instead()  # type: ignore[index]
            views = self.views
            if self.state != "done" and all(view.done for view in views):
                self.state, self._ended = "done", perf_counter()
                if self.memory is None:
                    here = "cpu" if self.elsewhere else self.facts.device
                    self.memory = device.memory(torch.device(here))
                self._on_done(self)
                # A kept run need not hold its last step's noise, nor the loop it ran in.
                self._noises, self._on_cancel = {}, lambda: None
                for view in views:
                    view.forget()
            self._changed.notify_all()
            subscribers = list(self._subscribers)
        for callback in subscribers:
            callback()

    def noise(self, position: int, size: int, device: torch.device) -> Noise:
        """The noise of a position over ``size`` tokens, drawn once for all lanes."""
        position += len(self.request.prefix)  # a continued text keeps the noise it had
        if position not in self._noises:
            while len(self._noises) >= _POSITIONS:
                del self._noises[next(iter(self._noises))]
            self._noises[position] = Noise(self.request.seed, position, size, device)
        return self._noises[position]

    def comparison(self) -> Comparison:
        """Everything known of it so far, even while it runs."""
        prefills: Sequence[float] = self.prefills or [0.0]
        return Comparison.model_construct(
            id=self.id,
            created=self.created,
            model=self.facts,
            prompt=self.request.prompt,
            prefix=self.request.prefix,
            prompt_tokens=self.prompt_tokens,
            prompt_perplexity=self.prompt_perplexity,
            chat=self.request.chat,
            split_special_tokens=self.request.split_special_tokens,
            seed=self.request.seed,
            max_new_tokens=self.request.max_new_tokens,
            min_new_tokens=self.request.min_new_tokens,
            stop=self.request.stop,
            timings=Timings(
                queued=self.queued,
                tokenize=self.tokenize,
                prefill=sum(prefills) / len(prefills),
                prefill_tokens=len(self.prompt_tokens),
                prompt_known=self.prompt_known,
                reused_tokens=self.reused_tokens,
                total=(self._ended or perf_counter()) - self.submitted,
                alone=self.request.alone,
                memory=self.memory,
            ),
            lanes=[self._result(view, number) for number, view in enumerate(self.views)],
        )

    def _result(self, view: View[Any], number: int) -> LaneResult:
        names = self.request.names
        facts = self.facts_of(number)
        trace = view.trace(facts.vocab_size)
        shown = trace.outputs[0]
        return LaneResult.model_construct(
            recipe=str(self.request.recipes[number]),
            name=names[number] if number < len(names) else "",
            text=shown.text,
            token_ids=shown.token_ids,
            finish_reason=shown.finish_reason,
            error=view.error,
            forked=self.request.forked,
            model=None if facts.id == self.facts.id else facts,
            trace=trace,
            metrics=measure(trace),
        )
