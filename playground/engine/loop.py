"""The decode loop: one model, everybody's rows in one forward, joined and left between steps."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter

import torch

from playground import device
from playground.engine.admission import Admission, Reading
from playground.engine.decode import Decoder
from playground.engine.draft import Drafter
from playground.engine.forward import Forward
from playground.engine.intake import Intake
from playground.engine.preview import preview
from playground.engine.request import Busy, EngineClosed, FieldError, Limits, Request
from playground.engine.run import Run
from playground.engine.scoring import logprobs
from playground.engine.watch import Watch
from playground.loading import LoadedModel
from playground.trace import FinishReason, PromptToken, StepRecord

log = logging.getLogger(__name__)


class Engine:
    """Admits runs and steps them. Driven by its own thread (``start``) or inline (``drive``).

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
        watch: Watch | None = None,
        draft: LoadedModel | None = None,
    ) -> None:
        """``cache_bytes`` hold keys and values at work, ``prompt_bytes`` earlier prompts.

        ``trace`` has forwards traced where that makes them faster, by threads of their own.
        ``draft`` is a smaller model with the same vocabulary, which guesses for searches that ask.
        """
        self.model, self.limits = model, limits or Limits()
        self.watch = watch or Watch()
        self.forward = Forward(
            model.model,
            rows=rows,
            length=model.context_length,
            budget=cache_bytes,
            pack_weights=pack_weights,
        )
        self.context_length = self.forward.slots.length
        held = {"cache_bytes_per_token": self.forward.slots.bytes_per_token}
        self.model = model = replace(model, facts=model.facts.model_copy(update=held))
        self.drafter = Drafter.where_it_can(draft, model.facts.vocab_size, pack_weights)
        self._forwards = [self.forward, *([self.drafter.forward] if self.drafter else [])]
        for forward in self._forwards if trace else ():
            forward.trace()
        self.intake = Intake(
            model,
            self.limits,
            self.forward.slots.count,
            self.context_length,
            draft_model=self.drafter.title if self.drafter else None,
        )
        self.device = self.forward.device
        self._decoder = Decoder(self.forward, self.intake.reader, self._synchronize, self.drafter)
        self._admission = Admission(self.forward, self.limits, prompt_bytes, self._synchronize)
        self._line = self._admission.line
        self.prompts = self._admission.prompts
        self._runs: list[Run] = []  # admitted, not done
        self._pace = 1.0  # seconds between two runs that ended, of late
        self._last_end = perf_counter()
        self._step_s = 0.0  # seconds that the last step of all lanes took
        self._work = threading.Condition()
        self._closed = False
        self._turn = threading.Lock()
        self._scoring = threading.Lock()  # one at a time: they take memory nobody has set aside
        self._thread: threading.Thread | None = None

    # What others call -------------------------------------------------------------------------

    def submit(self, request: Request) -> Run:
        """Check a request and put it in line.

        ``FieldError`` names what cannot be run; ``Busy`` says when there may be room.
        """
        return self.submit_all([request])[0]

    def submit_all(self, requests: Sequence[Request]) -> list[Run]:
        """The same for several of one client, which count as one: all are put in line or none."""
        runs: list[Run] = []
        try:
            for request in requests:
                run = self.intake.run(request)
                run.told(self._notify, self.watch.ended)
                runs.append(run)
                run.batch = runs[0].batch
            with self._work:
                if self._closed:
                    raise EngineClosed("the engine is closed")
                self._line.add(runs, list(self._runs), self._pace)
                for run in runs:
                    self.watch.submitted(run)
                self._work.notify_all()
        except (FieldError, Busy) as error:
            if isinstance(error, FieldError):
                error.number = len(runs)
            self.watch.refused(request, error)
            raise
        return runs

    def prompt_logprobs(
        self, prompt: Sequence[int], cancelled: Callable[[], bool] = lambda: False
    ) -> list[float | None]:
        """Each token's log-probability after those before it; None for the first, which has none.

        Beside the loop, on the calling thread; ends early, with fewer, where ``cancelled``.
        """
        with self._scoring:
            return logprobs(self.forward, prompt, cancelled)

    def read(self, prompt: str, chat: bool = False) -> None:
        """Have a prompt read while nobody waits, so that its scores are there when asked for."""
        ids = tuple(token.id for token in self.tokens(prompt, chat))
        with self._work:
            if len(ids) < self.context_length and self.prompts.get(ids) is None:
                self._admission.asked.append(ids)
                self._work.notify_all()

    def preview(self, request: Request) -> list[StepRecord | str] | None:
        """What each recipe would do to the next token, or why it would fail; no forward.

        None where the prompt was not read lately: ``read`` asks for that. ``FieldError`` names
        what cannot be run.
        """
        run = self.intake.run(request)
        known = self.prompts.get(run.prompt_ids)
        return preview(run, known.heard.scores, self.intake.reader) if known else None

    def tokens(self, prompt: str, chat: bool = False) -> list[PromptToken]:
        """The ids the model is fed for a prompt, each with its text."""
        return self.intake.tokens(prompt, chat)

    @property
    def rows(self) -> int:
        return self.forward.slots.count

    @property
    def rows_in_use(self) -> int:
        return self.rows - self.forward.slots.free

    @property
    def key_value_bytes(self) -> int:
        """Keys and values of every token of the rows in use."""
        return self.forward.slots.bytes_per_token * sum(run.held for run in list(self._runs))

    @property
    def people(self) -> int:
        """Runs in line or at work."""
        return len(self._runs) + len(self._line)

    @property
    def waiting(self) -> int:
        """Runs in line."""
        return len(self._line)

    @property
    def alive(self) -> bool:
        """Whether its thread is there to serve."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Serve from a thread of its own until ``close``."""
        self._thread = threading.Thread(target=self._serve, name="decode-loop", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # torch may not be left computing while Python goes down

    def drive(self, run: Run) -> None:
        """Step on the calling thread until ``run`` is done; only without ``start``."""
        while not run.done:
            self.step()

    def settle(self) -> None:
        """Wait until every forward that can be traced is."""
        for forward in self._forwards:
            forward.settle()

    def close(self) -> None:
        """End every run where it is, and the thread."""
        atexit.unregister(self.close)
        with self._work:
            self._closed = True
            self._work.notify_all()
        for forward in self._forwards:
            forward.close()
        if self._thread is not None:
            self._thread.join()
        else:
            self.step()

    def _notify(self) -> None:
        with self._work:
            self._work.notify_all()

    def _serve(self) -> None:
        try:
            while True:
                with self._work:
                    self._work.wait_for(lambda: self._closed or self._runs or self._admission.busy)
                self.step()
                if self._closed and not self._runs and not len(self._line):
                    return
        finally:  # whatever ended the thread, nobody may wait for it
            with self._work:
                self._closed = True
            for run in [*self._runs, *self._line]:
                run.error = "The decode loop stopped."
                self._end(run, "error", run.error)

    # One turn ---------------------------------------------------------------------------------

    @torch.inference_mode()
    def step(self) -> None:
        """Drop what ended, read a piece of one prompt, and give every live row its next token.

        A failure outside one lane's strategies ends runs at work, never the loop: the one that
        needs most memory where there is not enough of it, else all.
        """
        with self._turn:
            try:
                self._step()
            except (MemoryError, torch.OutOfMemoryError) as error:
                device.empty_cache(self.device)
                greatest = max(self._runs, key=lambda run: run.held, default=None)
                if greatest is None:
                    log.error("there was not enough memory, and no run to end", exc_info=error)
                else:
                    self._fail(greatest, error)
            except Exception as error:
                for run in list(self._runs):
                    self._fail(run, error)

    def _step(self) -> None:
        for run in self._line:
            reason = self._over(run)
            if reason is not None:
                with self._work:
                    self._line.remove(run)
                self._end(run, reason)
        for run in list(self._runs):
            self._retire(run)
        # Who writes waits for others' prompts no longer than for a step of all.
        for reading in self._admission.turn(self._runs, self._admit, self._step_s):
            assert reading.run is not None
            if reading.error is not None:
                self._fail(reading.run, reading.error)
            else:
                self._begin(reading.run, reading)
        self._decode()
        for run in list(self._runs):
            self._retire(run)

    def _admit(self, run: Run) -> None:
        self._runs.append(run)  # before it leaves the line, so that it is always counted
        with self._work:
            self._line.remove(run)
        run.state, run.queued = "running", perf_counter() - run.submitted
        self.watch.started(run)

    def _begin(self, run: Run, reading: Reading) -> None:
        """Start a run's lanes on its prompt, or only the next one where they run alone."""
        lanes = run.waiting[:1] if run.request.alone else run.waiting
        clock = perf_counter() - reading.seconds if run.request.alone else run.submitted
        spare = list(reading.slots)
        for lane in lanes:
            lane.start([spare.pop(0) for _ in range(lane.width)], clock)
        self.forward.slots.give(spare)
        used = reading.slots[: len(reading.slots) - len(spare)]
        self.forward.slots.spread(used[0], used, len(reading.ids))
        run.prefills.append(reading.seconds)
        run.prompt_known = reading.known is not None
        assert reading.heard is not None
        try:
            self._decoder.begin(run, lanes, reading.heard, reading.seconds)
        except Exception as error:  # a second prompt that could not be read
            self._fail(run, error)
            return
        self._retire(run)
        run.changed()

    def _decode(self) -> None:
        """The next tokens of all lanes."""
        runs = [run for run in self._runs if run.live]
        clock = perf_counter()
        tokens = self._decoder.step(runs)
        for run in runs:
            self._retire(run)
            run.changed()
        self._step_s = perf_counter() - clock
        if tokens:
            self.watch.stepped(tokens, self._step_s)

    def _retire(self, run: Run) -> None:
        """Free what ended lanes held."""
        reason = self._over(run)
        if reason is not None:
            self._end(run, reason)
        for lane in run.lanes:
            if lane.done and lane.slots:
                slots, lane.slots = lane.slots, []
                self.forward.slots.give(slots, wipe=lane.reach if lane.error is not None else 0)
        if all(lane.done for lane in run.lanes) and run in self._runs:
            self._runs.remove(run)
            now = perf_counter()
            self._pace += 0.2 * (now - self._last_end - self._pace)
            self._last_end = now
            if not run.done:
                run.changed()

    def _over(self, run: Run) -> FinishReason | None:
        """Why a run that could go on must end now, if it must."""
        if run.done:
            return None
        if run.cancelled or self._closed:
            return "cancelled"
        limit = run.request.deadline or self.limits.deadline
        return "deadline" if perf_counter() - run.submitted > limit else None

    def _end(self, run: Run, reason: FinishReason, error: str | None = None) -> None:
        for lane in run.lanes:
            if not lane.done:
                lane.end(reason, error)
        run.changed()

    def _fail(self, run: Run, error: Exception) -> None:
        log.error("run %s: the model failed", run.id, exc_info=error)
        what = "The memory was not enough" if _is_memory(error) else "The model failed"
        run.error = f"{what}: {str(error) or type(error).__name__}."
        self._end(run, "error", run.error)
        self._retire(run)

    def _synchronize(self) -> None:
        """Wait for the device, so that a forward's time is its own."""
        if self.device.type == "cuda":
            # Not for all of it: nobody may, while another model's steps are being captured.
            torch.cuda.current_stream(self.device).synchronize()
        elif self.device.type == "mps":
            torch.mps.synchronize()


def _is_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError)
