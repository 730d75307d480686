"""A run that is written by a process with an accelerator lent for the length of a call.

That process writes the run with an engine of its own; here the run is followed as any other. Where
the accelerator is taken away, the run is queued here, and the other process's text is shown until
this one has caught up with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any

from playground.engine.elsewhere import RemoteRun, RemoteView
from playground.engine.lanes.view import View
from playground.engine.news import News, NewsFeed
from playground.engine.run import Run

if TYPE_CHECKING:
    from playground.engine.engine import Engine
    from playground.engine.request import Request

PACE_S = 0.1  # between two sets of news


def written(engine: Engine, request: Request, pace: float = PACE_S) -> Iterator[News]:
    """Write a run on the calling thread, and yield its news, those of its end always.

    Closing the generator early ends the run.
    """
    run = engine.submit(request)
    feed, last = NewsFeed(run), 0.0
    try:
        while not run.done:
            engine.step()
            if run.done or perf_counter() - last >= pace:
                yield feed.news()
                last = perf_counter()
    finally:
        if not run.done:
            run.cancel()
            engine.step()


class LentView(RemoteView):
    """The view of a lane that another process writes; ``own`` is its view in this one.

    Once the other process has ``given_up``, ``own`` replaces it as soon as it has as many tokens.
    """

    def __init__(self, own: View[Any]) -> None:
        super().__init__(own.recipe)
        self.own = own
        self.given_up = False

    def instead(self) -> View[Any]:
        caught_up = self.own.done or len(self.own.path()) >= len(self.path())
        return self.own if self.given_up and caught_up else self

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
        """Make this process's own lanes those of the run, which the caller queues here next."""
        run = self.run
        for view in self.views:
            view.given_up, view.done, view.ended, view.error = True, False, None, None
        run.facts, run.prefills, run.error, run.state = self._facts, [], None, "queued"
