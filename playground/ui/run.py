"""Pressing Run: what is asked for is put in line, and the columns follow what is written.

Two events, one after the other: Gradio builds every component an event may change anew at each of
its frames, so what is sent ten times a second may change little.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from pydantic import ValidationError

from playground.colours import LETTERS
from playground.engine import Busy, FieldError, Request, Run
from playground.explain.partings import Side, parting
from playground.metrics import measure_path
from playground.models import ModelError
from playground.service import Service
from playground.trace import Comparison
from playground.ui import preview, score, strip
from playground.ui.column import Updates
from playground.ui.columns import Columns
from playground.ui.frame_rate import FRAME_S, FrameRate
from playground.ui.header import Header
from playground.ui.limits import SEEDS, Limits, fault, on_page, stop_strings, whole
from playground.ui.partings import Partings
from playground.ui.prompt import Prompt
from playground.ui.recipe import name_of
from playground.ui.visitor import counted
from strategies.recipe import Recipe, RecipeError

LOOK_S = 0.5  # at the latest, a run without news is looked at again
COME_S = 10.0  # a page that has not come for its run, or not come back, by then was closed
FIGURES_S = 0.5  # figures that change faster cannot be read


@dataclass(frozen=True)
class Runner:
    """The events behind Run, over the parts of the page they read and write."""

    service: Service
    header: Header
    prompt: Prompt
    limits: Limits
    columns: Columns
    status: gr.HTML
    first: gr.State  # the token the inspector opens on; None where nothing was run
    previews: gr.HTML  # knows what the shown run was asked
    frame_rate: FrameRate
    running: dict[str, Run] = field(default_factory=dict)
    awaited: dict[str, object] = field(default_factory=dict)  # those that no page follows now
    lost: deque[str] = field(default_factory=lambda: deque(maxlen=1000))  # whose page came too late

    @property
    def inputs(self) -> list[Any]:
        at = self.limits
        asked = [at.tokens, at.least, at.seed, at.lock, at.ends, at.chat, at.alone]
        asked.append(self.prompt.split)
        return [
            self.header.model, self.prompt.text, *asked, self.columns.count,
            *self.columns.written, *self.columns.recipes,
        ]  # fmt: skip

    @property
    def outputs(self) -> list[Any]:
        return [
            self.status,
            self.first,
            self.previews,
            self.limits.seed,
            self.columns.run,
            *self.idle,
            *self.faults,
        ]

    @property
    def followed(self) -> list[Any]:
        """All that a frame may change."""
        return [self.status, self.first, *self.columns.strips]

    @property
    def idle(self) -> Updates:
        """What the page shows while nothing runs."""
        return {
            self.limits.run: gr.update(interactive=True),
            self.limits.stop: gr.update(interactive=False),
        }

    @property
    def busy(self) -> Updates:
        return {
            self.limits.run: gr.update(interactive=False),
            self.limits.stop: gr.update(interactive=True),
        }

    @property
    def places(self) -> dict[str, gr.HTML]:
        """Where a sentence stands about each field of a request."""
        recipes = {f"recipes.{c.index}": c.fault for c in self.columns.columns}
        return {
            "prompt": self.prompt.fault,
            "model": self.header.fault,
            **self.limits.faults,
            **recipes,
        }

    @property
    def faults(self) -> Updates:
        """Every place for a sentence about a run, emptied."""
        return dict.fromkeys(self.places.values())

    def submit(self, request: gr.Request, *values: Any) -> Iterator[Updates]:
        """Put in line what the page asks for, to be followed."""
        starting = status("running", "Starting …")
        yield self.busy | self.faults | {self.status: starting, self.first: None}
        try:
            run, seed = self._submit(counted(request, self.service), *values)
        except FieldError as problem:
            yield self.idle | self._beside(on_page(problem))
            return
        except Busy as problem:
            yield self.idle | {self.status: status("bad", f"Not run: {problem}")}
            return
        except ModelError as problem:
            yield self.idle | {
                self.header.fault: str(problem),
                self.status: status("bad", "Not run: the model did not load."),
            }
            return
        self.running[run.id] = run
        self._await(run.id)
        asked = preview.setup(run.comparison())
        try:
            yield {self.limits.seed: str(seed), self.columns.run: run.id, self.previews: asked}
        except GeneratorExit:  # the page has turned to something else
            self.leave(run.id)
            raise

    def follow(self, name: str) -> Iterator[Updates]:
        """Send frames of the run that was put in line until it is done or nobody looks.

        A page that is loaded anew comes back for its run in a moment: until then it goes on.
        """
        yield {self.status: gr.skip()}
        if name in self.lost:
            sentence = "Not run: the page took too long to come back for it. Press Run again."
            yield {self.status: status("bad", sentence)}
            return
        run = self.running.get(name)
        if run is None or name not in self.awaited:  # nothing was put in line now
            return
        del self.awaited[name]
        self.frame_rate.start(name)
        try:
            yield from self._frames(run)
            if run.request.max_new_tokens == 0:
                self.service.score(run)
        except GeneratorExit:  # the page was closed, or turned to something else and has left it
            if name in self.running and not run.done:
                self._await(name)
            raise
        except BaseException:
            self.leave(name)
            raise
        finally:
            self.frame_rate.end(name)
        if self.running.pop(name, None) is None:
            yield {self.status: gr.skip()}  # what the page shows instead, the end would undo
            return
        comparison = run.comparison()
        updates: Updates = {self.status: self._outcome(run, comparison)}
        if run.request.max_new_tokens == 0 and run.outcome == "done":
            updates[self.status] = status("done", score.sentence(comparison))
        for lane in range(len(comparison.lanes)):
            updates[self.columns.strips[lane]] = strip.shown(comparison, lane)
        yield updates | {self.first: first(comparison)}

    def resumed(self, name: str) -> Updates:
        """What a page that is loaded anew shows while it comes back for this run; else nothing."""
        if name not in self.running:
            return {}
        line = status("running", "Still being written …") | {"resume": True}
        return self.busy | {self.status: line}

    def resume(self, name: str) -> Iterator[Updates]:
        """Follow a run that was being written as its page was loaded anew."""
        until = time.monotonic() + COME_S
        # Gradio may not have found out yet that the page was left.
        while name in self.running and name not in self.awaited and time.monotonic() < until:
            yield {self.status: gr.skip()}
            time.sleep(FRAME_S)
        if name in self.awaited:
            yield from self.follow(name)
        else:  # it has ended, or a copy of the page follows it
            yield {self.status: status("", "This run is not followed here; load the page again.")}

    def scored(self, name: str) -> Any:
        """The chips of a prompt that was scored instead of continued."""
        return score.chips(self.service, name)

    def leave(self, name: str) -> None:
        """End the run that a page follows or was about to, and show no more of it."""
        self.awaited.pop(name, None)
        run = self.running.pop(name, None)
        if run is not None:
            run.cancel()

    def _await(self, name: str) -> None:
        """Keep a run for the page that is to follow it, for a while."""
        ticket = self.awaited[name] = object()
        late = threading.Timer(COME_S, self._late, [name, ticket])
        late.daemon = True
        late.start()

    def _late(self, name: str, ticket: object) -> None:
        if self.awaited.get(name) is ticket:
            self.lost.append(name)
            self.leave(name)

    def stop(self, run: str) -> None:
        """End the run a page shows; what it wrote stays and is drawn by its own last frame."""
        if run in self.running:
            self.running[run].cancel()

    def _submit(self, client: str, *values: Any) -> tuple[Run, int]:
        model, prompt, tokens, least, seed, lock, ends, chat, alone, split, count, *written = values
        recipes = []
        for place, text in enumerate(written[:count]):
            try:
                recipes.append(Recipe.of(text))
            except RecipeError as problem:
                raise FieldError(f"recipes.{place}", str(problem)) from problem
        number = whole("seed", seed) if lock else random.randrange(SEEDS)
        try:
            request = Request(
                prompt=prompt,
                recipes=recipes,
                names=[name_of(value) for value in written[self.columns.most :][:count]],
                max_new_tokens=whole("max_new_tokens", tokens),
                min_new_tokens=whole("min_new_tokens", least),
                seed=number,
                stop=stop_strings(ends),
                chat=bool(chat),
                split_special_tokens=bool(split),
                alone=bool(alone),
                client=client,
            )
        except ValidationError as problem:
            raise fault(problem) from problem
        return self.service.submit(request, model), number

    def _frames(self, run: Run) -> Iterator[Updates]:
        version, measured = -1, 0.0
        # Even an unchanged one is sent: to leave it out takes Gradio longer than to compare it.
        shown: Updates = dict.fromkeys(self.columns.strips)
        sent: list[Any] = []
        partings = Partings()
        figures = [strip.figures(None, None)] * len(run.lanes)
        while not run.done:
            began = time.monotonic()
            version = run.wait(version, timeout=LOOK_S)
            fresh = time.monotonic() - measured >= FIGURES_S
            measured = time.monotonic() if fresh else measured
            sides = [self._side(run, place) for place in range(len(run.lanes))]
            marks = [(len(s.path), s.path[-1] if s.path else None, s.over) for s in sides]
            # When one grew all are sent again: they may only now part from it.
            grew, sent = marks != sent, marks
            for place, lane in enumerate(run.views) if grew or fresh else ():
                here, recipe = sides[place], str(run.request.recipes[place])
                reason = lane.finish_reason if here.over else None
                if fresh or here.over:
                    by_hand = here.chooses == "person"
                    figures[place] = strip.figures(measure_path(here.path), reason, by_hand)
                shown[self.columns.strips[place]] = strip.written(
                    run.id, place, recipe, sides, partings, reason
                ) | {"figures": figures[place], "state": "done" if here.over else "running"}
            most = max(len(side.path) for side in sides)
            if run.id not in self.running:
                return
            # An empty frame is sent as well: only at a frame is a closed page found out.
            frame = {"run": run.id, "sent": time.monotonic()}
            yield shown | {self.status: self._progress(run, most) | {"frame": frame}}
            run.join(max(0.0, began + self.frame_rate.interval(run.id) - time.monotonic()))

    def _side(self, run: Run, place: int) -> Side:
        """A lane as written so far."""
        lane = run.views[place]
        over, vocab_size = lane.done, run.facts.vocab_size
        return Side(LETTERS[place], lane.chain, lane.path(), over=over, vocab_size=vocab_size)

    def _progress(self, run: Run, most: int) -> dict[str, Any]:
        if run.state == "queued":
            return status("running", f"Waiting for free rows, place {run.queue_position} in line …")
        return status("running", f"Writing, {most} of {run.request.max_new_tokens} tokens …")

    def _outcome(self, run: Run, comparison: Comparison) -> dict[str, str]:
        if run.error:
            return status("bad", run.error)
        stopped = next(
            (lane.error for lane in run.views if lane.finish_reason == "cancelled"), None
        )
        if stopped:
            return status("bad", f"{stopped} What there is stays.")
        return status("done", outcome(comparison))

    def _beside(self, problem: FieldError) -> Updates:
        """The sentence where its cause is; what was written before stays."""
        updates: Updates = {self.status: status("bad", "Not run: see the message in red.")}
        name, _, place = problem.field.partition(".")
        column = place.split(".")[0]
        if name == "recipes" and column.isdigit():
            where = f"Not run: see the message in red in column {LETTERS[int(column)]}."
            updates[self.status] = status("bad", where)
            name = f"recipes.{column}"
        beside = self.places.get(name)
        if beside is None:
            return {self.status: status("bad", str(problem))}
        return updates | {beside: str(problem)}


def outcome(comparison: Comparison) -> str:
    """How a run went, in one sentence, or two where it was stopped."""
    total = sum(lane.metrics.tokens for lane in comparison.lanes)
    times = comparison.timings
    how = "each column alone" if times.alone else "once for all columns"
    read = f"the prompt was read in {times.prefill * 1e3:.0f} ms, {how}"
    if times.prompt_known:
        read = f"the prompt was known, and copied in {times.prefill * 1e3:.0f} ms"
    told = f"{total} tokens in {times.total:.1f} s; {read}."
    if any(lane.finish_reason == "cancelled" for lane in comparison.lanes):
        told += " It was stopped before its end; press Run to write it again."
    return told


def status(kind: str, text: str) -> dict[str, str]:
    return {"kind": kind, "text": text}


def first(comparison: Comparison) -> dict[str, Any] | None:
    """The token worth looking at first: where the second column parts from the first."""
    sides = [
        Side.of(letter, lane.trace)
        for letter, lane in zip(LETTERS[:2], comparison.lanes, strict=False)
    ]
    lane = 1 if len(sides) > 1 and sides[1].path else 0
    apart = parting(*sides) if lane else None
    step = apart.index if apart and apart.index is not None else 0
    return {"run": comparison.id, "lane": lane, "step": step, "output": 0}
