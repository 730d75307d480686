"""Preemption where runs do not all fit into the rows: one that had its turn is paused for others.

What its slots hold is kept apart meanwhile and written to other slots later, bit for bit, so that
it continues unchanged. No run waits for the end of one that came earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from playground.engine.attention.slots import Kept, Slots
from playground.engine.lanes.lane import Lane
from playground.engine.run import Run
from playground.models import device

_MEMORY_SHARE = 0.25  # of the free memory, for what one paused run held
TURN_S = 4.0  # seconds for which a run has its rows at least, before it is paused


@dataclass(frozen=True)
class Paused:
    """A run without rows, since when, and what each slot of its lanes held, in order."""

    run: Run
    since: float
    kept: dict[Lane, list[Kept]]

    @property
    def width(self) -> int:
        return sum(map(len, self.kept.values()))


class Turns:
    """Runs at work that gave up their rows, in the order in which they did. The loop calls it."""

    def __init__(self, slots: Slots, seconds: float = TURN_S) -> None:
        self.slots, self.seconds = slots, seconds
        self.paused: list[Paused] = []
        self._began: dict[str, float] = {}  # when each run's turn began, by its id

    def before(self, run: Run | None) -> Paused | None:
        """The paused run that has waited longest, unless ``run`` has waited longer."""
        first = self.paused[0] if self.paused else None
        return first if first is None or run is None or first.since < run.submitted else None

    def forget(self, run: Run) -> None:
        """Drop what is kept of a run that ended while it was paused."""
        self.paused = [paused for paused in self.paused if paused.run is not run]

    def turn(
        self,
        runs: Sequence[Run],
        first: Run | None,
        spare: int,
        moved: Callable[[Lane, dict[int, int]], None],
    ) -> None:
        """Restore paused runs and make room for ``first``, by pausing runs that had their turn.

        ``first`` is the next run of the queue and needs ``spare`` rows beside its own. ``runs`` are
        those at work that may be paused. ``moved`` is called for every restored lane with the new
        slot of each one before.
        """
        now = perf_counter()
        at_work = {run.id for run in runs}
        self._began = {id: began for id, began in self._began.items() if id in at_work}
        for run in runs:
            if run.live:
                self._began.setdefault(run.id, now)
        while (next_one := self.before(first)) is not None:
            if not self._make_room(runs, next_one.width, now):
                return
            self.paused.remove(next_one)
            self._began[next_one.run.id] = now
            self._restore(next_one, moved)
        if first is not None:
            self._make_room(runs, first.width, now, spare)

    def _make_room(self, runs: Sequence[Run], width: int, now: float, spare: int = 0) -> bool:
        """Pause runs that had their turn, the longest at work first, until so many rows are free.

        None is paused where that would not be enough.
        """
        ready = sorted(
            (run for run in runs if run.live and now - self._began[run.id] > self.seconds),
            key=lambda run: self._began[run.id],
        )
        theirs = {slot for run in ready for lane in run.live for slot in lane.slots.owned}
        if not self.slots.fits(width, spare, theirs):
            return False
        while not self.slots.fits(width, spare):
            if not ready or not self._has_memory(ready[0]):
                return False
            self._pause(ready.pop(0), now)
        return True

    def _has_memory(self, run: Run) -> bool:
        """Whether what its slots hold can be kept apart."""
        wanted = sum(len(lane.slots.owned) * lane.reach for lane in run.live)
        free = device.free_bytes(self.slots.device)
        return wanted * self.slots.bytes_per_token < _MEMORY_SHARE * free

    def _pause(self, run: Run, now: float) -> None:
        kept = {lane: self._held(lane) for lane in run.live}  # all, before any slot is freed
        for lane in kept:
            self.slots.free(lane.slots.pause())
        self._began.pop(run.id)
        self.paused.append(Paused(run, now, kept))

    def _held(self, lane: Lane) -> list[Kept]:
        reach = min(lane.reach, self.slots.length)
        return [self.slots.read(slot, reach) for slot in lane.slots.owned]

    def _restore(self, paused: Paused, moved: Callable[[Lane, dict[int, int]], None]) -> None:
        for lane, kept in paused.kept.items():
            if lane.done:
                continue
            slots = self.slots.allocate(len(kept))
            assert slots is not None  # there are so many in a row
            for slot, each in zip(slots, kept, strict=True):
                self.slots.write(slot, each)
            moved(lane, lane.resume(slots))
