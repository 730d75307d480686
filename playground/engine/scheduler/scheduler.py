"""How runs come to work: taken from the line where rows are free, their prompt read in pieces."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

import torch
from torch import Tensor

from playground.engine.forward import Forward, ForwardOutput
from playground.engine.request import Limits
from playground.engine.run import Run
from playground.engine.scheduler.prompt_cache import CachedPrompt, PromptCache
from playground.engine.scheduler.queue import RequestQueue
from playground.models import device

Prompt = tuple[int, ...]
_SHARE = 0.5  # of the free memory, for one more run
_SHORT = 64  # new tokens of a run that need not wait for long ones alone
_KEPT = 8  # one row in so many is kept from long runs, while others are at work


@dataclass
class PrefillTask:
    """A prompt that is being read, a piece in each turn; without a run it is only remembered."""

    ids: Sequence[int]
    slots: list[int]
    run: Run | None
    known: CachedPrompt | None = None
    done: int = 0
    seconds: float = 0.0
    error: Exception | None = None
    sound: bool = True  # the model said numbers
    heard: ForwardOutput | None = None  # after its last token, once all is read
    paths: list[Tensor] = field(default_factory=list)  # hidden states of its pieces, where asked

    @property
    def remembered(self) -> bool:
        """Whether it may be kept: a lane that is measured alone is measured with its prefill."""
        return self.run is None or not self.run.request.alone

    @property
    def states(self) -> bool:
        """Whether any of its lanes reads hidden states."""
        return self.run is not None and any(lane.reads_states for lane in self.run.lanes)


class Scheduler:
    """The line, the prompts read before, and the one being read. The loop alone takes turns."""

    def __init__(
        self, forward: Forward, limits: Limits, prompt_bytes: int, synchronize: Callable[[], None]
    ) -> None:
        self.forward = forward
        self.queue = RequestQueue(limits)
        self.prompts = PromptCache(prompt_bytes)
        self.asked: deque[Prompt] = deque(maxlen=8)  # to be read before any run wants them
        self.reading: PrefillTask | None = None
        self._passed: set[str] = set()  # runs at work that others were before
        self._synchronize = synchronize

    @property
    def busy(self) -> bool:
        return bool(len(self.queue) or self.asked or self.reading)

    def turn(
        self, runs: list[Run], admit: Callable[[Run], None], seconds: float
    ) -> Iterator[PrefillTask]:
        """Prompts whose run can begin, or failed: known ones at once, new ones piece by piece.

        One piece is read, and more for as long as ``seconds``. ``admit`` moves a run from the line
        to ``runs``. Who takes a reading owns its slots.
        """
        end = perf_counter() + seconds
        while True:
            if self.reading is None:
                self.reading = self._next(runs, admit)
            reading = self.reading
            if reading is None:
                return
            if reading.run is not None and reading.run.done:
                self._put_down(reading)
                continue
            self._read_on(reading)
            if reading.error is not None:
                self._put_down(reading)
            elif reading.heard is not None and reading.run is None:
                self._put_down(reading)
                return
            elif reading.heard is not None:
                self.reading = None
            if reading.heard is not None or reading.error is not None:
                yield reading
            if reading.known is None and perf_counter() >= end:
                return

    def _next(self, runs: list[Run], admit: Callable[[Run], None]) -> PrefillTask | None:
        """A run at work whose lanes take turns, else the first in line, else a prompt asked for."""
        turns = (r for r in runs if r.waiting and not r.live and not r.done)
        run = next(turns, None) or self._first(runs)
        if run is not None:
            width = run.waiting[0].width if run.request.alone else run.width
            if runs and not self._room(run):
                return None
            slots = self.forward.slots.allocate(width)
            if slots is None:
                return None
            if run not in runs:
                if run is not self.queue.first:
                    self._passed.add(run.id)
                admit(run)
            reading = PrefillTask(run.prompt_ids, slots, run)
            if reading.remembered:
                reading.known = self.prompts.get(reading.ids, states=reading.states)
            return reading
        while self.asked:
            ids = self.asked.popleft()
            slots = None if self.prompts.get(ids) else self.forward.slots.allocate(1)
            if slots is not None:
                return PrefillTask(ids, slots, None)
        return None

    def _first(self, runs: list[Run]) -> Run | None:
        """The first in line; where long runs hold all other rows, a short one behind it.

        Long ones leave a share of the rows, or a few clients who ask for much, and read it or not,
        would have everybody wait until their time is up. Whoever passes keeps to that share.
        """
        first, kept = self.queue.first, self.forward.slots.count // _KEPT
        if first is None or not runs or first.request.max_new_tokens <= _SHORT:
            return first
        if self.forward.slots.free_count - first.width >= kept:
            return first
        self._passed &= {run.id for run in runs}
        room = kept - sum(run.width for run in runs if run.id in self._passed)
        behind = (r for r in self.queue if r.request.max_new_tokens <= _SHORT)
        return next((run for run in behind if run.width <= room), None)

    def _room(self, run: Run) -> bool:
        """Whether what the run may come to hold fits into the memory that is free now.

        A processor's memory is taken as slots are first written, not when they are set up.
        """
        store = self.forward.slots
        if self.forward.device.type != "cpu":
            return True
        tokens = len(run.prompt_ids) + run.request.max_new_tokens
        wanted = run.width * min(tokens, store.length) * store.bytes_per_token
        return wanted < _SHARE * device.free_bytes(self.forward.device)

    def _read_on(self, reading: PrefillTask) -> None:
        store, slot, clock = self.forward.slots, reading.slots[0], perf_counter()
        try:
            if reading.known is not None:
                store.write(slot, reading.known.keys, reading.known.values)
                heard, reading.done = reading.known.output, len(reading.ids)
            else:
                piece = reading.ids[reading.done : reading.done + self.forward.chunk_size]
                heard = self.forward.prefill(slot, piece, reading.done, states=reading.states)
                reading.done += len(piece)
                reading.sound &= not bool(heard.logits.isnan().any())
                if heard.states is not None:
                    reading.paths.append(heard.states.top)
            self._synchronize()
            reading.seconds += perf_counter() - clock
            if reading.done < len(reading.ids):
                return
            if len(reading.paths) > 1 and heard.states is not None:
                whole = replace(heard.states, top=torch.cat(reading.paths))
                heard = replace(heard, states=whole)
            reading.heard = heard
            if reading.known is None and reading.remembered and reading.sound:
                kept = store.read(slot, len(reading.ids))
                self.prompts.put(reading.ids, CachedPrompt(*kept, heard))
        except Exception as error:
            reading.error = error

    def _put_down(self, reading: PrefillTask) -> None:
        wipe = 0 if reading.sound and reading.error is None else len(reading.ids)
        self.forward.slots.free(reading.slots, wipe=wipe)
        self.reading = None
