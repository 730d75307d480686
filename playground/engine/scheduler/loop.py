"""The decode loop: all rows in one forward; runs join and leave between steps."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

import torch

from playground.engine.decode.decoder import Decoder
from playground.engine.decode.drafters import Drafters
from playground.engine.forward import Forward
from playground.engine.lanes.detokenizer import Detokenizer
from playground.engine.lanes.put import put_records
from playground.engine.observer import Observer
from playground.engine.request import STOPPED, EngineClosed, Limits
from playground.engine.run import Run
from playground.engine.scheduler.prefill_task import PrefillTask
from playground.engine.scheduler.scheduler import Scheduler
from playground.models import device
from playground.trace import FinishReason

log = logging.getLogger(__name__)


class Loop:
    """Admits runs and steps them. One thread at a time steps; any may add runs, or read them.

    ``runs`` are admitted and not done; those in ``queue`` are not admitted yet.
    """

    def __init__(
        self,
        forward: Forward,
        detokenizer: Detokenizer,
        limits: Limits,
        prompt_bytes: int,
        drafters: Drafters,
        observer: Observer,
    ) -> None:
        self.forward, self.limits, self.observer = forward, limits, observer
        self.detokenizer = detokenizer
        self.device = forward.device
        self.scheduler = Scheduler(forward, limits, prompt_bytes, self._synchronize)
        self.reader = self.scheduler.reader
        self.decoder = Decoder(forward, detokenizer, self._synchronize, self.reader, drafters)
        self.queue = self.scheduler.queue
        self.runs: list[Run] = []
        self.closed = False
        self._pace = 1.0  # seconds between the ends of two runs, averaged over the last ones
        self._last_end = perf_counter()
        self._step_s = 0.0  # seconds that the last step of all lanes took
        self._work = threading.Condition()  # held while the queue changes
        self._stepping = threading.Lock()

    @contextmanager
    def reserving(self, client: str) -> Iterator[None]:
        """Count a request against a client's share while it is checked. Raises ``Busy``."""
        with self._work:
            self.queue.reserve(client, list(self.runs), self._pace)
        try:
            yield
        finally:
            with self._work:
                self.queue.release(client)

    def add(self, runs: Sequence[Run]) -> None:
        """Queue runs. Raises ``Busy`` where there is no room, ``EngineClosed`` at the end."""
        with self._work:
            if self.closed:
                raise EngineClosed("the engine is closed")
            self.queue.add(runs, list(self.runs), self._pace)
            for run in runs:
                self.observer.submitted(run)
            self._work.notify_all()

    def prefetch(self, prompt: tuple[int, ...]) -> None:
        """Have a prompt read when no run waits, unless it is cached."""
        with self._work:
            if self.scheduler.prompts.get(prompt) is None:
                self.scheduler.prefetches.append(prompt)
                self._work.notify_all()

    def wake(self) -> None:
        """Wake the loop, so that it looks at its runs again."""
        with self._work:
            self._work.notify_all()

    def close(self) -> None:
        """End every run at the next step, and take no more."""
        with self._work:
            self.closed = True
            self._work.notify_all()

    def serve(self) -> None:
        """Step whenever there is something to do, until it is closed and no run is left."""
        try:
            while True:
                with self._work:
                    self._work.wait_for(lambda: self.closed or self.runs or self.scheduler.busy)
                self.step()
                if self.closed and not self.runs and not len(self.queue):
                    return
        finally:  # whatever ended the thread, no other may wait for it
            self.close()
            for run in [*self.runs, *self.queue]:
                run.error = "The decode loop stopped."
                self._end(run, "error", run.error)

    @torch.inference_mode()
    def step(self) -> None:
        """Drop runs that ended, read a chunk of a prompt, and give every live row its next token.

        A failure outside one lane's strategies ends runs at work, never the loop: the one that
        needs most memory where there is not enough of it, else all.
        """
        with self._stepping:
            try:
                self._step()
            except (MemoryError, torch.OutOfMemoryError) as error:
                device.empty_cache(self.device, self.forward.process)
                greatest = max(self.runs, key=lambda run: run.held, default=None)
                if greatest is None:
                    log.error("there was not enough memory, and no run to end", exc_info=error)
                else:
                    self._fail(greatest, error)
            except Exception as error:
                for run in list(self.runs):
                    self._fail(run, error)

    def _step(self) -> None:
        for run in self.queue:
            reason = self._end_reason(run)
            if reason is not None:
                with self._work:
                    self.queue.remove(run)
                self._end(run, reason)
        for run in list(self.runs):
            self._retire(run)
        self._make_room()
        self._take_turns()
        # Rows at work wait for the prompts of others no longer than for a step of all lanes.
        for task in self.scheduler.prefill(self.runs, self._admit, self._step_s):
            assert task.run is not None
            if task.error is not None:
                self._fail(task.run, task.error)
            else:
                self._begin(task.run, task)
        self._decode()
        for run in list(self.runs):
            self._retire(run)

    def _make_room(self) -> None:
        """End runs in the background, the last first, until the next run has room."""
        self.scheduler.give_way(self.runs)
        for run in reversed([run for run in self.runs if run.request.background]):
            if not self.scheduler.room_is_wanted(self.runs):
                return
            run.yielded = True
            self._end(run, "cancelled")
            self._retire(run)

    def _take_turns(self) -> None:
        """Where other runs wait for rows, pause runs that had their turn."""
        able = [run for run in self.runs if not run.request.background and not run.request.alone]
        turns, first = self.scheduler.turns, self.queue.first
        if first is not None and self.runs and not self.scheduler.has_memory(first):
            first = None  # it lacks memory, not rows: paused runs may have those
        spare = 0 if first is None else self.scheduler.spare(first, self.runs)
        turns.turn(able, first, spare, self.decoder.moved)

    def _admit(self, run: Run) -> None:
        self.runs.append(run)  # before it leaves the queue, so that it is always counted
        with self._work:
            self.queue.remove(run)
        run.state, run.queued = "running", perf_counter() - run.submitted
        self.observer.started(run)

    def _begin(self, run: Run, task: PrefillTask) -> None:
        """Start a run's lanes on its prompt, or only the next one where they run alone."""
        lanes = run.waiting[:1] if run.request.alone else run.waiting
        clock = perf_counter() - task.seconds if run.request.alone else run.submitted
        spare = list(task.slots)
        for lane in lanes:
            lane.start([spare.pop(0) for _ in range(lane.width)], clock)
        self.forward.slots.free(spare)
        used = task.slots[: len(task.slots) - len(spare)]
        self.forward.slots.replicate(used[0], used, task.length)
        run.prefills.append(task.seconds)
        run.prompt_known = task.cached is not None
        run.reused_tokens += task.reused
        if task.by_hand:
            logits, tokens = torch.cat(task.logits), run.prompt_tokens[-task.by_hand :]
            before = logits[-task.by_hand - 1 : -1]
            run.put = put_records(self.detokenizer, tokens, before, run.request.top_n)
        assert task.output is not None
        try:
            self.decoder.begin(run, lanes, task.output, task.seconds)
        except Exception as error:  # a second prompt that could not be read
            self._fail(run, error)
            return
        self._retire(run)
        run.changed()

    def _decode(self) -> None:
        """The next tokens of all lanes; of those in the background only where there are no others.

        A run whose prompt is still being read counts as one of the others.
        """
        runs = [run for run in self.runs if run.live]
        others = [run for run in self.runs if not run.request.background]
        if others and len(others) < len(self.runs):
            for run in runs:
                run.paused |= run.request.background
            runs = [run for run in others if run.live]
        clock = perf_counter()
        tokens = self.decoder.step(runs)
        for run in runs:
            self._retire(run)
            run.changed()
        self._step_s = perf_counter() - clock
        if tokens:
            self.observer.stepped(tokens, self._step_s)

    def _retire(self, run: Run) -> None:
        """Free the slots of lanes that ended, and drop the run where all have."""
        reason = self._end_reason(run)
        if reason is not None:
            self._end(run, reason)
        for lane in run.lanes:
            if lane.done and lane.slots.owned:
                if run.request.cache and lane.view.error is None:
                    self.reader.keep(lane)
                wipe = lane.reach if lane.view.error is not None else 0
                self.forward.slots.free(lane.slots.release(), wipe=wipe)
            if lane.done:
                lane.states_read.clear()
        if all(lane.done for lane in run.lanes) and run in self.runs:
            self.runs.remove(run)
            self.scheduler.turns.forget(run)
            now = perf_counter()
            self._pace += 0.2 * (now - self._last_end - self._pace)
            self._last_end = now
            if not run.done:
                run.changed()

    def _end_reason(self, run: Run) -> FinishReason | None:
        """Why a run that could go on must end now, if it must."""
        if run.done:
            return None
        if run.cancelled or self.closed:
            return "cancelled"
        limit = run.request.deadline
        if limit is None:
            limit = math.inf if run.request.background else self.limits.deadline
        return "deadline" if perf_counter() - run.submitted > limit else None

    def _end(self, run: Run, reason: FinishReason, error: str | None = None) -> None:
        if error is None and self.closed and not run.cancelled:
            error = STOPPED
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
            # For its stream alone: while another model's steps are captured, no thread may wait
            # for the whole device.
            torch.cuda.current_stream(self.device).synchronize()
        elif self.device.type == "mps":
            torch.mps.synchronize()


def _is_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError)
