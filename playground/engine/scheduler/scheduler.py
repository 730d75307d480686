"""Which run is next: admitted from the queue where rows are free, then prefilled in chunks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter

import torch

from playground.engine.forward import Forward, ForwardOutput
from playground.engine.request import Limits
from playground.engine.run import Run
from playground.engine.scheduler.prefill_task import PrefillTask
from playground.engine.scheduler.prompt_cache import CachedPrompt, PromptCache
from playground.engine.scheduler.queue import RequestQueue
from playground.engine.scheduler.text_reader import TextReader, last
from playground.engine.scheduler.turns import Turns
from playground.models import device

_MEMORY_SHARE = 0.5  # of the free memory, for one more run
_SHORT = 64  # new tokens up to which a run may overtake long ones
_RESERVED = 8  # one row in so many is kept from long runs, while others are at work
_PREFETCHES = 8  # prompts that wait to be read ahead; of more, the oldest are forgotten


class Scheduler:
    """The queue, the prompt cache, and the prompt being read. Only the loop calls ``prefill``."""

    def __init__(
        self, forward: Forward, limits: Limits, prompt_bytes: int, synchronize: Callable[[], None]
    ) -> None:
        """``prompt_bytes`` bound the prompt cache; ``synchronize`` waits for the device."""
        self.forward = forward
        self.queue = RequestQueue(limits)
        self.prompts = PromptCache(prompt_bytes)
        self.reader = TextReader(forward, self.prompts)
        self.prefetches: deque[tuple[int, ...]] = deque(maxlen=_PREFETCHES)
        self.turns = Turns(forward.slots)
        self.task: PrefillTask | None = None
        self._overtaking: set[str] = set()  # ids of runs at work that were not first in the queue
        self._synchronize = synchronize

    @property
    def busy(self) -> bool:
        return bool(len(self.queue) or self.prefetches or self.task)

    def prefill(
        self, runs: list[Run], admit: Callable[[Run], None], seconds: float
    ) -> Iterator[PrefillTask]:
        """Tasks whose run can begin, or failed: cached prompts at once, others chunk by chunk.

        One chunk is read, and more for as long as ``seconds``. ``runs`` are those at work, to which
        ``admit`` moves a run from the queue. The caller owns the slots of a task with an output.
        """
        end = perf_counter() + seconds
        while True:
            if self.task is None:
                self.task = self._next(runs, admit)
            task = self.task
            if task is None:
                return
            if task.run is not None and task.run.done:
                self._drop(task)
                continue
            self._advance(task)
            if task.error is not None:
                self._drop(task)
            elif task.output is not None and task.run is None:
                self._drop(task)
                return
            elif task.output is not None:
                self.task = None
            if task.output is not None or task.error is not None:
                yield task
            copied = task.cached is not None and task.reused == task.length
            if not copied and perf_counter() >= end:
                return

    def _next(self, runs: list[Run], admit: Callable[[Run], None]) -> PrefillTask | None:
        """The next prompt to read: for a run at work whose lanes follow one another, else for the
        next run of the queue, else ahead of one.

        A run in the background is chosen only while no other is at work, so that it delays none.
        """
        sequential = [run for run in runs if run.waiting and not run.live and not run.done]
        others = [run for run in runs if not run.request.background]
        run = next((run for run in sequential if run in others), None) or self._next_run(others)
        if run is None and not others:
            run = next(iter(sequential), None) or self.queue.first_background
        if run is not None:
            width = run.waiting[0].width if run.request.alone else run.width
            if runs and not self.has_memory(run):
                return None
            slots = self.forward.slots.allocate(width)
            if slots is None:
                return None
            if run not in runs:
                if run is not self.queue.first and not run.request.background:
                    self._overtaking.add(run.id)
                admit(run)
            task = PrefillTask(run.prompt_ids, slots, run, run.request.prefix)
            if task.cacheable:
                states = task.needs_all_states if task.text else task.needs_states
                task.cached = self.prompts.get(task.ids, states=states)
            return task
        while self.prefetches:
            ids = self.prefetches.popleft()
            slots = None if self.prompts.get(ids) else self.forward.slots.allocate(1)
            if slots is not None:
                return PrefillTask(ids, slots, None)
        return None

    def room_is_wanted(self, runs: list[Run]) -> bool:
        """Whether the next run waits for rows or memory that runs in the background have."""
        others = [run for run in runs if not run.request.background]
        first = self.queue.first
        paused = self.turns.before(first)
        if paused is not None and len(others) < len(runs):
            return not self.forward.slots.fits(paused.width)
        if first is None or len(others) == len(runs):
            return False
        return not (self.has_rows(first, others) and self.has_memory(first))

    def has_rows(self, run: Run, others: Sequence[Run]) -> bool:
        """Whether there are rows for a run, and beside them those that long runs leave free."""
        return self.forward.slots.fits(run.width, self.spare(run, others))

    def spare(self, run: Run, others: Sequence[Run]) -> int:
        """How many rows a run must leave free for short ones when it is admitted."""
        if not others or run.longest <= _SHORT:
            return 0
        count = self.forward.slots.count
        return min(count // _RESERVED, count - run.width)

    def give_way(self, runs: list[Run]) -> None:
        """Drop the prompt being read for a run in the background where other runs have come.

        It is read again later.
        """
        task = self.task
        if task is None or task.run is None or not task.run.request.background:
            return
        if self.queue.first is not None or any(not run.request.background for run in runs):
            self._drop(task)

    def _next_run(self, runs: list[Run]) -> Run | None:
        """The first of the queue; where long runs hold all other rows, a short one behind it.

        Long runs leave a share of the rows free. Without it a few clients with long requests would
        keep everybody waiting until their deadline. Runs that overtake stay within that share.
        ``runs`` are those at work that are not in the background.
        """
        first, reserved = self.queue.first, self.forward.slots.count // _RESERVED
        if self.turns.before(first) is not None:  # a paused run is restored first
            return None
        if first is None or not runs or first.longest <= _SHORT or self.has_rows(first, runs):
            return first
        self._overtaking &= {run.id for run in runs}
        room = reserved - sum(run.width for run in runs if run.id in self._overtaking)
        short = (run for run in self.queue if run.longest <= _SHORT)
        return next((run for run in short if run.width <= room), None)

    def has_memory(self, run: Run) -> bool:
        """Whether the keys and values that a run may need fit into the memory that is free now.

        On a CPU, memory is taken as slots are first written, not when they are set up.
        """
        slots = self.forward.slots
        if self.forward.device.type != "cpu":
            return True
        tokens = len(run.prompt_tokens) + run.request.max_new_tokens
        wanted = run.width * min(tokens, slots.length) * slots.bytes_per_token
        return wanted < _MEMORY_SHARE * device.free_bytes(self.forward.device)

    def _advance(self, task: PrefillTask) -> None:
        """Read the task's next chunk, or restore it from the cache; the last sets the output."""
        clock = perf_counter()
        try:
            if task.done == len(task.ids):
                output = self._read_text(task)
            else:
                output = self._read_chunk(task) if task.cached is None else self._restore(task)
            self._synchronize()
            task.seconds += perf_counter() - clock
            if task.done < len(task.ids) or task.written < len(task.text):
                if task.done == len(task.ids) and not task.written:
                    self._keep(task, self._with_states(task, output))
                return
            output = self._with_states(task, output)
            if not task.text:
                self._keep(task, output)
            task.output = output
        except Exception as error:
            task.error = error

    def _keep(self, task: PrefillTask, output: ForwardOutput) -> None:
        """Cache a prompt that is read."""
        if task.cached is None and task.cacheable and task.finite:
            kept = self.forward.slots.read(task.slots[0], len(task.ids))
            self.prompts.put(task.ids, CachedPrompt(kept, output))

    @staticmethod
    def _with_states(task: PrefillTask, output: ForwardOutput) -> ForwardOutput:
        """The output with the states of all tokens that were read, where they are needed."""
        if len(task.chunk_states) < 2 or output.states is None:
            return output
        return replace(output, states=replace(output.states, top=torch.cat(task.chunk_states)))

    def _read_text(self, task: PrefillTask) -> ForwardOutput:
        """Read the next tokens of the text, after restoring those that are cached."""
        slot, start = task.slots[0], len(task.ids)
        if not task.written and task.cacheable:
            states = task.needs_all_states
            # The last token is read for what follows it; so is the one before those put by hand.
            known = task.text[: len(task.text) - task.by_hand] if task.by_hand else task.text
            kept = self.reader.restore(slot, task.ids, known, states=states)
            if kept is not None:
                task.written = len(kept)
                task.reused += len(kept)
                task.chunk_states += [] if kept.states is None or not states else [kept.states]
        tokens = task.text[task.written : task.written + self.reader.most]
        output = self.reader.read(slot, tokens, start + task.written, states=task.needs_states)
        if task.by_hand:  # of these the logits before each are wanted
            task.logits.append(output.logits)
        output = last(output)
        task.written += len(tokens)
        task.finite &= not bool(output.logits.isnan().any())
        if output.states is not None:
            task.chunk_states.append(output.states.top)
        return output

    def _read_chunk(self, task: PrefillTask) -> ForwardOutput:
        chunk = task.ids[task.done : task.done + self.forward.chunk_size]
        output = self.forward.prefill(task.slots[0], chunk, task.done, states=task.needs_states)
        task.done += len(chunk)
        if task.by_hand and task.done == len(task.ids):
            task.logits.append(output.logits)
        task.finite &= not bool(output.logits.isnan().any())
        if output.states is not None:
            task.chunk_states.append(output.states.top)
        return output

    def _restore(self, task: PrefillTask) -> ForwardOutput:
        assert task.cached is not None
        self.forward.slots.write(task.slots[0], task.cached.kept)
        task.done = len(task.ids)
        task.reused += task.done
        output = task.cached.output
        if task.text and output.states is not None:
            task.chunk_states.append(output.states.top)
        if task.by_hand:
            task.logits.append(output.logits)
        return output

    def _drop(self, task: PrefillTask) -> None:
        wipe = 0 if task.finite and task.error is None else task.length
        self.forward.slots.free(task.slots, wipe=wipe)
        self.task = None
