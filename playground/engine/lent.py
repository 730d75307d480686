"""A run that a process writes which was lent an accelerator for the length of a call.

That process writes the run with an engine of its own; here the run is followed as any other. Where
the accelerator is taken away, the run is queued here, and what the other one wrote is shown until
this one has caught up with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from playground.engine.elsewhere import LaneNews, News, RemoteRun, RemoteView, Telling
from playground.engine.lanes.rows import LaneRow
from playground.engine.lanes.view import LaneView
from playground.engine.run import Run
from playground.trace import FinishReason, StepRecord, Trace

if TYPE_CHECKING:
    from playground.engine.engine import Engine
    from playground.engine.request import Request

PACE_S = 0.1  # between two tellings


def written(engine: Engine, request: Request, pace: float = PACE_S) -> Iterator[News]:
    """Write a run on the calling thread, telling what is new; its end is always told.

    Closed early, the generator ends the run.
    """
    run = engine.submit(request)
    telling, told = Telling(run), 0.0
    try:
        while not run.done:
            engine.step()
            if run.done or perf_counter() - told >= pace:
                yield telling.news()
                told = perf_counter()
    finally:
        if not run.done:
            run.cancel()
            engine.step()


class LentView(RemoteView):
    """What may be read of a lane that another process writes; ``own`` is its view in this one.

    Once it was ``given_up`` there, ``own`` is read as soon as it has as many tokens.
    """

    def __init__(self, own: LaneView) -> None:
        super().__init__(own.recipe)
        self.own = own
        self.given_up = False
        self._told = False

    def take(self, news: LaneNews, later: float = 0.0) -> None:
        super().take(news, later)
        self._told = True

    @property
    def caught_up(self) -> bool:
        """Whether this process' own view is what is read."""
        if not self.given_up:
            return False
        return self.own.done or not self._told or len(self.own.path()) >= len(super().path())

    def look(self) -> None:
        """Be done as this process' own view is, once it was given up elsewhere."""
        if self.given_up:
            self.done, self.error = self.own.done, self.own.error

    @property
    def steps(self) -> list[StepRecord]:
        return self.own.steps if self.caught_up else super().steps

    @property
    def text(self) -> str:
        return self.own.text if self.caught_up else super().text

    @property
    def finish_reason(self) -> FinishReason | None:
        return self.own.finish_reason if self.given_up else super().finish_reason

    def ordered(self) -> list[Any]:
        return [*self.own.ordered()] if self.caught_up else super().ordered()

    def nodes(self, held: Any, known: Sequence[int] = ()) -> list[int]:
        own = isinstance(held, LaneRow)
        return self.own.nodes(held, known) if own else super().nodes(held, known)

    def written(self, held: Any) -> list[int]:
        return self.own.written(held) if isinstance(held, LaneRow) else super().written(held)

    def settled(self, held: Any) -> int:
        return self.own.settled(held) if isinstance(held, LaneRow) else super().settled(held)

    def final(self, held: Any) -> int:
        return self.own.final(held) if isinstance(held, LaneRow) else super().final(held)

    def path(self) -> list[StepRecord]:
        return self.own.path() if self.caught_up else super().path()

    def trace(self, vocab_size: int) -> Trace:
        return self.own.trace(vocab_size) if self.caught_up else super().trace(vocab_size)

    def forget(self) -> None:
        self.own.forget()


class Lent(RemoteRun):
    """A run of this process that another one writes."""

    views: list[LentView]  # type: ignore[assignment]  # made once, of these alone

    def __init__(self, run: Run) -> None:
        self._facts = run.facts
        super().__init__(run, [LentView(lane.view) for lane in run.lanes])
        run.state = "running"

    def give_up(self) -> None:
        """Have this process' own lanes be the run's, which is to be queued here now."""
        run = self.run
        for view in self.views:
            view.given_up, view.done, view.ended = True, False, None
        run.facts, run.prefills, run.error, run.state = self._facts, [], None, "queued"
