"""Following a run: while it goes on, the page is sent frames of its columns and its status line.

At each frame Gradio builds every output of the event anew, so an event that sends ten a second has
few outputs.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from playground.colours import LETTERS
from playground.engine import Run
from playground.explain.partings import Side
from playground.metrics import measure_path
from playground.service import Service
from playground.trace import Metrics
from playground.ui import score, strip
from playground.ui.frame_rate import FrameRate
from playground.ui.growing import Growing
from playground.ui.inspector_view import opening
from playground.ui.partings import Partings
from playground.ui.status import ended, fork_ended, progress, status
from playground.ui.views import Resolve

LOOK_S = 0.5  # after which a run without news is checked again
COME_S = 10.0  # a page that does not follow its run by then, at first or again, was closed
FIGURES_S = 0.5  # figures that change faster cannot be read
FOUND_SHARE = 0.1  # of the time, for what a recipe's steps find in their text

Updates = dict[Any, Any]


class Found:
    """What the steps of a lane's recipe find in its text while it is written.

    To look at a watermark takes longer with every token, so it is given a share of the time.
    """

    def __init__(self, run: Run, number: int) -> None:
        self._run, self._number = run, number
        self._known: dict[str, float] = {}
        self._due = 0.0

    def figures(self, text: Side) -> Metrics:
        """All figures of the text so far; those that are due anew."""
        began = time.monotonic()
        if began >= self._due:
            lane = self._run.views[self._number]
            self._known = lane.measured(lane.ordered()[0])
            ended = time.monotonic()
            self._due = ended + (ended - began) * (1 / FOUND_SHARE - 1)
        return measure_path(text.path, self._known)


@dataclass(frozen=True)
class Forked:
    """A text that goes on with another one, in a ``column`` of the view that is followed."""

    growing: Growing
    column: int
    resolve: Resolve


@dataclass(frozen=True)
class Follower:
    """The runs that pages follow, and the parts of the page in which they are shown."""

    service: Service
    strips: Sequence[gr.HTML]
    status: gr.HTML
    first: gr.State  # the token on which the inspector opens; None where nothing was run
    frame_rate: FrameRate
    running: dict[str, Run] = field(default_factory=dict)
    forks: dict[str, Forked] = field(default_factory=dict)  # of those, what goes on with a text
    awaited: dict[str, object] = field(default_factory=dict)  # runs that no page follows now
    lost: deque[str] = field(default_factory=lambda: deque(maxlen=1000))  # ended unfollowed
    ended: deque[str] = field(default_factory=lambda: deque(maxlen=1000))  # and as they were to
    stands: dict[str, Sequence[int]] = field(default_factory=dict)  # tokens in columns, by run
    watching: Counter[str] = field(default_factory=Counter)  # pages, by the run that they follow
    _change: threading.Lock = field(default_factory=threading.Lock)  # of ``watching``

    @property
    def outputs(self) -> list[Any]:
        """The components that a frame may change."""
        return [self.status, self.first, *self.strips]

    def expect(self, run: Run, stands: Sequence[int] = ()) -> None:
        """Register a queued run that a page is about to follow.

        ``stands`` is how many tokens of it each column shows already: a shorter text is not sent.
        """
        self.running[run.id] = run
        if any(stands):
            self.stands[run.id] = stands
        self._await(run.id)

    def expect_fork(self, name: str, growing: Growing, column: int, resolve: Resolve) -> None:
        """The same of a fork, by the name of the view in which a column shows it."""
        self.forks[name] = Forked(growing, column, resolve)
        self.running[name] = growing.run
        self._await(name)

    def follow(self, name: str) -> Iterator[Updates]:
        """Send frames of a registered run until it is done or its page is closed.

        A run goes on for ``COME_S`` after that, in case the page was only reloaded.
        """
        yield {self.status: gr.skip()}
        if name in self.lost:
            sentence = "Not run: the page took too long to come back for it. Press Run again."
            yield {self.status: status("bad", sentence)}
            return
        if name in self.running and name in self.awaited:  # else this press of Run queued nothing
            yield from self._watch(name, self.running[name])

    def _watch(self, name: str, run: Run) -> Iterator[Updates]:
        """Send frames to one page of those that follow the run."""
        self.awaited.pop(name, None)
        with self._change:
            self.watching[name] += 1
            self.frame_rate.start(name)
        fork = self.forks.get(name)
        try:
            yield from self._frames(run) if fork is None else self._fork_frames(name, fork)
            if run.request.max_new_tokens == 0:
                self.service.score(run)
        except GeneratorExit:  # the page was closed, or shows something else and called ``leave``
            if name in self.running and not run.done and self.watching[name] == 1:
                self._await(name)
            raise
        except BaseException:
            self.leave(name)
            raise
        finally:
            with self._change:
                self.watching[name] -= 1
                if not self.watching[name]:
                    del self.watching[name]
                    self.frame_rate.end(name)
        self.stands.pop(name, None)
        if self.running.pop(name, None) is not None:
            self.ended.append(name)
            self.forks.pop(name, None)
        elif name not in self.ended:
            yield {self.status: gr.skip()}  # the page shows something else by now
            return
        if fork is not None:
            yield self._fork_ended(name, fork)
            return
        comparison = run.comparison()
        updates: Updates = {self.status: ended(run, comparison)}
        if run.request.max_new_tokens == 0 and run.outcome == "done":
            updates[self.status] = status("done", score.sentence(comparison))
        for lane in range(len(comparison.lanes)):
            updates[self.strips[lane]] = strip.shown(comparison, lane)
        yield updates | {self.first: opening(comparison)}

    def resuming(self, name: str) -> Updates:
        """The updates of a reloaded page that is about to follow this run again, if it goes on."""
        if name not in self.running:
            return {}
        return {self.status: status("running", "Still being written …") | {"resume": True}}

    def resume(self, name: str) -> Iterator[Updates]:
        """Follow a run that went on while its page was reloaded, or that another page follows.

        Gradio may not have noticed yet that the old page is closed.
        """
        yield {self.status: gr.skip()}
        run = self.running.get(name)
        if run is not None:
            yield from self._watch(name, run)
        else:  # it has ended meanwhile
            yield {self.status: status("", "This run has ended; load the page again.")}

    def stop(self, name: str) -> None:
        """End the run a page shows; its text stays, and is drawn by its last frame."""
        if name in self.running:
            self.running[name].cancel()

    def leave(self, name: str) -> None:
        """End the run that a page follows or is about to follow, and send no more frames of it."""
        self.awaited.pop(name, None)
        self.forks.pop(name, None)
        self.stands.pop(name, None)
        run = self.running.pop(name, None)
        if run is not None:
            run.cancel()

    def _await(self, name: str) -> None:
        ticket = self.awaited[name] = object()
        late = threading.Timer(COME_S, self._late, [name, ticket])
        late.daemon = True
        late.start()

    def _late(self, name: str, ticket: object) -> None:
        if self.awaited.get(name) is ticket:
            self.lost.append(name)
            self.leave(name)

    def _frames(self, run: Run) -> Iterator[Updates]:
        version, measured = -1, 0.0
        # Unchanged columns are sent too: Gradio takes longer to leave an output out.
        shown: Updates = dict.fromkeys(self.strips)
        sent: list[Any] = []
        partings = Partings()
        figures = [strip.figures(None, None)] * len(run.views)
        found = [Found(run, number) for number in range(len(run.views))]
        stands = [*self.stands.get(run.id, ()), *[0] * len(run.views)][: len(run.views)]
        shown |= {self.strips[at]: gr.skip() for at, length in enumerate(stands) if length}
        while not run.done:
            began = time.monotonic()
            version = run.wait(version, timeout=LOOK_S)
            fresh = time.monotonic() - measured >= FIGURES_S
            measured = time.monotonic() if fresh else measured
            sides = [_side(run, number) for number in range(len(run.views))]
            marks = [(len(s.path), s.path[-1] if s.path else None, s.over) for s in sides]
            # When one text grew, all are sent: others may part from it only now.
            grew, sent = marks != sent, marks
            for number, lane in enumerate(run.views) if grew or fresh else ():
                here, recipe = sides[number], str(run.request.recipes[number])
                if len(here.path) < stands[number] and not here.over:
                    continue
                reason = lane.finish_reason if here.over else None
                if fresh or here.over:
                    by_hand = here.chooses == "person"
                    figures[number] = strip.figures(found[number].figures(here), reason, by_hand)
                shown[self.strips[number]] = strip.written(
                    run.id, number, recipe, sides, partings, reason
                ) | {"figures": figures[number], "state": "done" if here.over else "running"}
            most = max(len(side.path) for side in sides)
            if run.id not in self.running:
                return
            # Frames without news are sent too: Gradio notices a closed page only at a frame.
            frame = {"run": run.id, "sent": time.monotonic()}
            yield shown | {self.status: progress(run, most) | {"frame": frame}}
            run.join(max(0.0, began + self.frame_rate.interval(run.id) - time.monotonic()))

    def _fork_frames(self, name: str, fork: Forked) -> Iterator[Updates]:
        """Frames of the one column that a fork is written in; the others stay as they are."""
        run, column, version = fork.growing.run, fork.column, -1
        view = fork.resolve(name)
        others = view.lanes if view is not None else []
        sides = [
            Side.of(LETTERS[at], lane.trace, model=view.model_of(at).title if view else "")
            for at, lane in enumerate(others)
        ]
        partings, recipe = Partings(), str(run.request.recipes[0])
        found = Found(run, 0)
        while not run.done:
            began = time.monotonic()
            version = run.wait(version, timeout=LOOK_S)
            own = fork.growing.side(column)
            columns = [own if at == column else side for at, side in enumerate(sides)]
            reason = run.views[0].finish_reason if own.over else None
            if name not in self.running:
                return
            shown = strip.written(name, column, recipe, columns, partings, reason)
            by_hand = own.chooses == "person"
            told = strip.figures(found.figures(own), reason, by_hand)
            frame = {"run": name, "sent": time.monotonic()}
            yield {
                self.strips[column]: shown | {"figures": told, "state": "running"},
                self.status: progress(run, len(run.views[0].path())) | {"frame": frame},
            }
            run.join(max(0.0, began + self.frame_rate.interval(name) - time.monotonic()))

    def _fork_ended(self, name: str, fork: Forked) -> Updates:
        """Every column, since each may part from the new one, and what became of that."""
        growing, column = fork.growing, fork.column
        view = fork.resolve(name)
        if view is None:
            return {self.status: status("bad", "This run is no longer kept on the server.")}
        updates: Updates = {
            self.strips[lane]: strip.shown(view, lane) for lane in range(len(view.lanes))
        }
        lane = view.lanes[column]
        # Of several texts the one with the noise of the text it goes on with.
        output = growing.output if growing.output < len(lane.trace.outputs) else 0
        if output:
            updates[self.strips[column]] = strip.shown(view, column, output)
        first = {"run": name, "lane": column, "step": growing.step, "output": output}
        return updates | {self.status: fork_ended(growing, column), self.first: first}


def _side(run: Run, number: int) -> Side:
    """A lane's text so far, as ``Partings`` takes it."""
    lane = run.views[number]
    over, facts = lane.done, run.facts_of(number)
    return Side(
        LETTERS[number],
        lane.chain,
        lane.path(),
        over=over,
        vocab_size=facts.vocab_size,
        model=facts.title,
    )
