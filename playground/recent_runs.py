"""The runs of a service that the page and the HTTP routes can still show."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

from playground.engine import Run
from playground.kept import KeptRuns
from playground.trace import Comparison

_UNPACKED = 16  # of the latest runs; earlier ones are packed


class RecentRuns:
    """Running and recently ended runs as objects, earlier ones compressed.

    At most ``most`` runs that ended are kept, the packed ones in ``budget`` bytes. Any thread may
    call it.
    """

    def __init__(self, most: int, budget: int) -> None:
        self.unpacked: OrderedDict[str, Run] = OrderedDict()
        self._most_unpacked = min(_UNPACKED, most)
        self._packed = KeptRuns(most - self._most_unpacked, budget)
        self._made = KeptRuns(most, max(budget // 4, 1 << 24))
        self._growing: OrderedDict[str, Callable[[], Comparison]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, runs: Sequence[Run]) -> None:
        """Keep new runs, and pack the oldest ended ones where there are too many."""
        with self._lock:
            self.unpacked.update((run.id, run) for run in runs)
            ended = [run for run in self.unpacked.values() if run.done]
            old = ended[: max(0, len(self.unpacked) - self._most_unpacked)]
            for run in old:
                if self._packed.most:  # packed before it is dropped, so that it is always found
                    self._packed.put(run.comparison())
                del self.unpacked[run.id]

    def latest(self) -> list[Run]:
        """Those that are not packed, the latest first."""
        with self._lock:
            return list(reversed(self.unpacked.values()))

    def comparison(self, id: str) -> Comparison | None:
        """A run as far as it is, or None where it is no longer kept."""
        with self._lock:
            found = self.unpacked.get(id)
            if found is not None:  # the least recently read run is dropped first
                self.unpacked.move_to_end(id)
            grows = self._growing.get(id)
        if grows is not None:
            made = grows()
            if all(lane.finish_reason is not None for lane in made.lanes):
                self.keep(made)
                with self._lock:
                    self._growing.pop(id, None)
            return made
        return found.comparison() if found else self._packed.get(id) or self._made.get(id)

    def grow(self, id: str, comparison: Callable[[], Comparison]) -> None:
        """Find under ``id`` what ``comparison`` makes, and keep that once all lanes have ended."""
        with self._lock:
            self._growing[id] = comparison
            while len(self._growing) > self._most_unpacked:
                self._growing.popitem(last=False)

    def keep(self, comparison: Comparison) -> None:
        """Keep what was put together of runs, packed, in a quarter of their bytes besides."""
        self._made.put(comparison)

    def rename(self, id: str, lane: int, name: str) -> None:
        """Set the name of a lane of a run; "" for none."""
        for kept in (self._packed, self._made):
            saved = kept.get(id)
            if saved is not None and 0 <= lane < len(saved.lanes):
                lanes = list(saved.lanes)
                lanes[lane] = lanes[lane].model_copy(update={"name": name})
                kept.put(saved.model_copy(update={"lanes": lanes}))
        with self._lock:
            found = self.unpacked.get(id)
            if found is not None and 0 <= lane < len(found.lanes):
                names = [*found.request.names, *[""] * len(found.lanes)][: len(found.lanes)]
                names[lane] = name
                found.request = found.request.model_copy(update={"names": names})
