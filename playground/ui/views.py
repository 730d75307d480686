"""Views: the lanes of kept runs that a page shows, in the order of its columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from playground.trace import Comparison, LaneResult

Resolve = Callable[[str], Comparison | None]

MOST_LANES = 64
LONGEST = 160  # characters of a written view


@dataclass(frozen=True)
class ShownLane:
    """One lane of a kept run, by its number there."""

    run: str
    lane: int

    def __str__(self) -> str:
        return f"{self.run}/{self.lane}"


@dataclass(frozen=True)
class View:
    """Lanes of runs, and the ``run`` whose prompt, limits and timings stand for all of them.

    Without ``lanes`` it is all lanes of the run. The written form, which the page and the addresses
    of files use, is ``RUN`` then; ``RUN:0.0.2`` for its lanes 0, 0 and 2; and ``RUN:0.1@OTHER.2``
    with lane 1 of another run of the same prompt between them.
    """

    run: str
    lanes: tuple[ShownLane, ...] | None = None

    @classmethod
    def parse(cls, written: str) -> View:
        """A view from its written form; raises ``ValueError`` for any other text."""
        run, _, parts = written.partition(":")
        if not parts:
            return cls(run)
        lanes = []
        for part in parts.split("."):
            lane, _, other = part.partition("@")
            if not (lane.isascii() and lane.isdecimal()):
                raise ValueError(f"{lane!r:.20} is no lane")
            lanes.append(ShownLane(other or run, int(lane)))
        return cls(run, tuple(lanes))

    def __str__(self) -> str:
        if self.lanes is None:
            return self.run
        parts = [f"{x.lane}" if x.run == self.run else f"{x.lane}@{x.run}" for x in self.lanes]
        return f"{self.run}:{'.'.join(parts)}"

    def at(self, column: int) -> ShownLane:
        """The lane that a column shows; raises ``IndexError`` where it shows none."""
        return ShownLane(self.run, column) if self.lanes is None else self.lanes[column]

    @property
    def whole(self) -> View:
        """All lanes of the run, where those that are shown are all of it; else the same view."""
        lanes = self.lanes or ()
        return View(self.run) if all(lane.run == self.run for lane in lanes) else self

    @property
    def source(self) -> str:
        """What is the same however its columns are arranged: the run, or lanes of several."""
        if self.lanes is None:
            return self.run
        return " ".join(sorted({str(lane) for lane in self.lanes}))

    def rearranged(self, columns: Sequence[int]) -> View:
        """The view of these columns alone, in this order."""
        return View(self.run, tuple(self.at(column) for column in columns))

    def replaced(self, column: int, of: int, run: str) -> View:
        """This view with the first lane of ``run`` in one of its ``of`` columns."""
        lanes = [self.at(other) for other in range(of)]
        lanes[column] = ShownLane(run, 0)
        return View(self.run, tuple(lanes))

    def found_in(self, column: int, view: View, columns: int) -> int | None:
        """The nearest column of another view that shows the same lane as ``column``, or None."""
        lane = self.at(column)
        same = [other for other in range(columns) if view.at(other) == lane]
        return min(same, key=lambda other: abs(other - column), default=None)

    def comparison(self, resolve: Resolve) -> Comparison | None:
        """The lanes as one comparison; None where one of them, or its run, is not known."""
        first = resolve(self.run)
        if first is None or self.lanes is None:
            return first
        lanes: list[LaneResult] = []
        for shown in self.lanes[:MOST_LANES]:
            run = first if shown.run == self.run else resolve(shown.run)
            if run is None or shown.lane >= len(run.lanes):
                return None
            lane = run.lanes[shown.lane]
            facts = run.model_of(shown.lane)
            if facts.id != first.model.id and lane.model is None:
                lane = lane.model_copy(update={"model": facts})
            lanes.append(lane)
        return first.model_copy(update={"id": str(self), "lanes": lanes})


def look_up(written: str, resolve: Resolve) -> Comparison | None:
    """The comparison of a written view; None where it is not valid, or no longer kept."""
    try:
        return View.parse(written).comparison(resolve)
    except ValueError:
        return None
