"""A run that another process writes: what that one tells of it, and what is read of it here.

An accelerator may be lent for the length of a call, to a process of its own. That process writes
the run with an engine of its own and tells after some steps what is new; here the run is followed
as any other. Where the accelerator is taken away, the run is queued here, and what the other one
wrote is shown until this one has caught up with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

from playground.engine.lanes.view import LaneView
from playground.engine.run import Run
from playground.trace import FinishReason, ModelFacts, Output, StepRecord, Trace

if TYPE_CHECKING:
    from playground.engine.engine import Engine
    from playground.engine.request import Request

PACE_S = 0.1  # between two tellings


@dataclass(frozen=True)
class LaneNews:
    """What is new of a lane: records from number ``first`` on, and its texts as they are now.

    ``settled`` is how many tokens of the first text stay.
    """

    first: int
    trace: Trace  # its steps are those from ``first`` on
    settled: int
    done: bool
    error: str | None
    reason: FinishReason | None


@dataclass(frozen=True)
class News:
    """What is new of a run, ``elapsed`` seconds after it was submitted where it is written."""

    elapsed: float
    facts: ModelFacts
    queued: float
    prefills: list[float]
    lanes: list[LaneNews]
    error: str | None = None


def written(engine: Engine, request: Request, pace: float = PACE_S) -> Iterator[News]:
    """Write a run on the calling thread, telling what is new; its end is always told.

    Closed early, the generator ends the run.
    """
    run = engine.submit(request)
    sent: list[list[StepRecord]] = [[] for _ in run.lanes]
    told = 0.0
    try:
        while not run.done:
            engine.step()
            if run.done or perf_counter() - told >= pace:
                yield _news(run, sent)
                told = perf_counter()
    finally:
        if not run.done:
            run.cancel()
            engine.step()


def _news(run: Run, sent: list[list[StepRecord]]) -> News:
    lanes = []
    for view, known in zip(run.views, sent, strict=True):
        steps = list(view.steps)
        pairs = zip(known, steps, strict=False)
        # A record is replaced where its text was cut or taken back; all from there on is sent.
        first = next((n for n, (old, new) in enumerate(pairs) if old is not new), len(known))
        trace = view.trace(run.facts.vocab_size)
        lanes.append(
            LaneNews(
                first=first,
                trace=trace.model_copy(update={"steps": steps[first:]}),
                settled=len(view.path()),
                done=view.done,
                error=view.error,
                reason=view.finish_reason,
            )
        )
        known[:] = steps
    elapsed = perf_counter() - run.submitted
    return News(elapsed, run.facts, run.queued, list(run.prefills), lanes, run.error)


class LentView(LaneView):
    """What may be read of a lane that another process writes; ``own`` is its view in this one.

    Once it was ``given_up`` there, ``own`` is read as soon as it has as many tokens.
    """

    def __init__(self, own: LaneView) -> None:
        vars(self).update(vars(own))
        self.own = own
        self.given_up = False
        self._records: list[StepRecord] = []
        self._trace: Trace | None = None
        self._settled = 0
        self._reason: FinishReason | None = None

    def take(self, news: LaneNews, later: float) -> None:
        """Take over what is new; records were written ``later`` seconds after their time."""
        shifted = [step.model_copy(update={"at": step.at + later}) for step in news.trace.steps]
        # Replaced as a whole: other threads read it meanwhile.
        self._records = [*self._records[: news.first], *shifted]
        self._trace, self._settled = news.trace, news.settled
        self.error, self._reason, self.offer = news.error, news.reason, news.trace.offer
        self.done = news.done

    @property
    def caught_up(self) -> bool:
        """Whether this process' own view is what is read."""
        return self.given_up and (self.own.done or len(self.own.path()) >= self._settled)

    def look(self) -> None:
        """Be done as this process' own view is, once it was given up elsewhere."""
        if self.given_up:
            self.done, self.error = self.own.done, self.own.error

    @property
    def steps(self) -> list[StepRecord]:
        return self.own.steps if self.caught_up else self._records

    @property
    def text(self) -> str:
        known = self._trace
        return self.own.text if self.caught_up or known is None else known.outputs[0].text

    @property
    def finish_reason(self) -> FinishReason | None:
        return self.own.finish_reason if self.given_up else self.ended or self._reason

    def path(self) -> list[StepRecord]:
        known = self._trace
        if self.caught_up or known is None:
            return self.own.path()
        return [self._records[node] for node in known.outputs[0].nodes[: self._settled]]

    def trace(self, vocab_size: int) -> Trace:
        known = self._trace
        if self.caught_up or known is None:
            return self.own.trace(vocab_size)
        return known.model_copy(
            update={"steps": list(self._records), "outputs": self._outputs(known.outputs)}
        )

    def _outputs(self, outputs: Sequence[Output]) -> list[Output]:
        """The texts, ended where this process ended them."""
        if self.ended is None:
            return list(outputs)
        return [
            one.model_copy(update={"finish_reason": one.finish_reason or self.ended})
            for one in outputs
        ]

    def forget(self) -> None:
        self.own.forget()


@dataclass
class Lent:
    """A run of this process that another one writes."""

    run: Run
    views: list[LentView] = field(init=False)
    _facts: ModelFacts = field(init=False)
    _later: float | None = None

    def __post_init__(self) -> None:
        self.views = [LentView(lane.view) for lane in self.run.lanes]
        self._facts = self.run.facts
        self.run.elsewhere = self.views
        self.run.state = "running"

    def take(self, news: News) -> None:
        """Take over what is new, and wake who follows the run."""
        run = self.run
        if self._later is None:  # until it was begun there
            self._later = max(0.0, perf_counter() - run.submitted - news.elapsed)
        run.facts, run.prefills, run.error = news.facts, news.prefills, news.error
        run.queued = self._later + news.queued
        for view, told in zip(self.views, news.lanes, strict=True):
            view.take(told, self._later)
        run.changed()

    def end(self, reason: FinishReason, error: str | None = None) -> None:
        """End all lanes that are not done; what is written stays."""
        for view in self.views:
            if not view.done:
                view.end(reason, error)
        self.run.changed()

    def give_up(self) -> None:
        """Have this process' own lanes be the run's, which is to be queued here now."""
        run = self.run
        for view in self.views:
            view.given_up, view.done, view.ended = True, False, None
        run.facts, run.prefills, run.error, run.state = self._facts, [], None, "queued"
