"""The page: its regions put together, and the events that cross from one to another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any

import gradio as gr

from playground.service import Service
from playground.trace import Comparison
from playground.ui import (
    event_errors,
    gradio_compat,
    likelihood,
    preview,
    recorded,
    score,
    strip,
    uncached,
)
from playground.ui.branches import Branches
from playground.ui.columns import Columns
from playground.ui.element import QUICK, element, in_turn
from playground.ui.follow import Follower
from playground.ui.fork import Forker
from playground.ui.frame_rate import FrameRate
from playground.ui.header import header
from playground.ui.inspector import Inspector
from playground.ui.inspector_view import opening
from playground.ui.limits import limits
from playground.ui.manual import Picker
from playground.ui.model_choice import ModelChoice
from playground.ui.opened import FileOpener
from playground.ui.prompt import prompt
from playground.ui.recipe import ColumnState
from playground.ui.restore import Restorer
from playground.ui.run import Runner
from playground.ui.state import PageParts, Values
from playground.ui.status import status
from playground.ui.transformers_export import TransformersExport
from playground.ui.views import look_up
from playground.ui.visitor import visitor
from strategies.recipe import Recipe

TINTS = [("surprise", "surprise"), ("rank", "rank"), ("entropy", "entropy"), ("off", "off")]
STREAM: dict[str, Any] = {  # what an event is that sends frames
    "show_progress": "hidden",
    "concurrency_limit": None,
    "api_visibility": "private",
}

Updates = dict[Any, Any]


def build(service: Service) -> gr.Blocks:
    """The whole page over this service; launch it with ``launch_options()``."""
    sample, resolve = recorded.recorded(), resolver(service)
    start, frame_rate = recorded.setup(sample), FrameRate()
    with gr.Blocks(title="Decoding playground", analytics_enabled=False, fill_width=True) as page:
        page.queue(default_concurrency_limit=None, max_size=service.settings.max_queue)
        with gr.Column(elem_id="page"):
            head = header(service, service.models.default)
            with gr.Row(elem_classes="card", elem_id="setup"):
                box = prompt(start.prompt, sample.prompt_tokens, service)
                knobs = limits(start, chat=sample.model.has_chat_template)
            with gr.Row(elem_id="bar"):
                line = element(
                    "status", status("recorded", recorded.label(sample)), elem_id="line",
                    server_functions=[frame_rate.asked()],
                )  # fmt: skip
                tint = gr.Radio(
                    TINTS,
                    value="surprise",
                    label="Colour by",
                    elem_id="tint",
                    elem_classes="segments",
                )
                gr.HTML('<p class="scale"><span></span></p>', apply_default_css=False, min_width=0)
                reference = element("reference")
                gr.Checkbox(label="scroll together", elem_id="together", interactive=True)
                past = element("past", elem_id="past")
                add = gr.Button("Add a column", size="sm", elem_id="add", min_width=0)
            steps = [ColumnState(Recipe.parse(text).to_steps()) for text in start.recipes]
            export = TransformersExport(service, gr.State(service.models.default), knobs.tokens)
            columns = Columns(steps, service.settings.max_columns, resolve, sample, add, export)
            inspector = Inspector(
                resolve,
                opening(sample),
                partial(uncached.measure, service),
                partial(likelihood.score, service),
                service.context,
            )
        first = gr.State(None)  # the token that the inspector opens on after a run
        previews = _previews(service, sample)
        parts = PageParts(head, box, knobs, columns)
        models = ModelChoice(service, parts, export.model, sample.model.has_chat_template)
        follower = Follower(service, columns.strips, line, first, frame_rate)
        runner = Runner(service, parts, follower, previews)
        picker = Picker(service, columns, line, first)
        restorer = Restorer(parts, runner, models, start, past, inspector.parts.selection)
        forker = Forker(service, columns, knobs, follower, inspector.parts.not_continued)
        branches = Branches(columns, inspector.parts.not_continued, service.rename)
        opener = FileOpener(restorer, service.settings.max_columns)
        events = _Events(
            page, runner, picker, forker, branches, models, restorer, inspector, opener
        )
        events.wire(reference)
        tint.change(
            None, tint, None, js="(t) => { document.querySelector('#page').dataset.tint = t; }",
            **QUICK,
        )  # fmt: skip
        _guard(page, restorer, inspector)
    gradio_compat.quieten(page)
    return page


def resolver(service: Service) -> Callable[[str], Comparison | None]:
    """What a page shows under a written view, the recorded run among it."""
    sample = recorded.recorded()

    def find(run: str) -> Comparison | None:
        return sample if run == recorded.ID else service.comparison(run)

    return lambda view: look_up(view, find)


def _previews(service: Service, sample: Comparison) -> gr.HTML:
    """The element that asks, for all columns, what their recipes would do before any Run."""

    def ask(asked: Any, request: gr.Request) -> dict[str, Any]:
        try:
            return preview.answer(service, asked, visitor(request, service.settings))
        except Exception as error:
            return {"fault": event_errors.sentence(error)}

    ask.__name__ = "preview"  # what the page's code calls it
    shown = preview.setup(sample, recorded=True)
    return element("previews", shown, server_functions=[ask])


class _Events:
    """The events that concern more than one region."""

    def __init__(
        self,
        page: gr.Blocks,
        runner: Runner,
        picker: Picker,
        forker: Forker,
        branches: Branches,
        models: ModelChoice,
        restorer: Restorer,
        inspector: Inspector,
        opener: FileOpener,
    ) -> None:
        self.opener = opener
        self.page, self.runner, self.picker, self.forker = page, runner, picker, forker
        self.models, self.restorer, self.inspector = models, restorer, inspector
        self.branches = branches
        self.parts, self.follower = runner.parts, runner.follower

    def wire(self, reference: gr.HTML) -> None:
        """Each event, in the order in which they happen to a visitor."""
        writing = self._wire_run()
        self._wire_columns(writing)
        self._wire_past(writing)
        self._wire_model()
        self._wire_address()
        self._wire_inspector(reference)

    def _wire_run(self) -> list[Any]:
        """Run, Stop and a choice by hand; the events that write into the columns are returned."""
        columns, knobs, follower = self.parts.columns, self.parts.limits, self.follower
        # One event for all columns: while a choice is on its way, the page takes no other.
        self.picked = gr.on(
            columns.choices, self.picker.stream, self.picker.inputs, self.picker.outputs,
            trigger_mode="once", **STREAM,
        )  # fmt: skip
        for ended in (self.picked.then, self.picked.failure):
            ended(None, None, None, js="() => playground.answered()", **QUICK)
        self.forked = gr.on(
            self.inspector.goes_on, self.forker.submit, self.forker.inputs, self.forker.outputs,
            trigger_mode="once", **STREAM,
        )  # fmt: skip
        in_turn(self.forked)
        self.grown = self.forked.then(
            follower.follow, columns.run, follower.outputs, postprocess=False, **STREAM
        )
        for ended in (self.grown.then, self.grown.failure):
            ended(self.rested, columns.run, [*knobs.idle], **QUICK)
        submitted = knobs.run.click(
            self.runner.submit, self.parts.inputs, self.runner.outputs,
            cancels=[self.picked, self.forked, self.grown],
            **STREAM,
        )  # fmt: skip
        in_turn(submitted)
        self.ran = submitted.then(
            follower.follow, columns.run, follower.outputs, postprocess=False, **STREAM
        )
        self.resumed = follower.status.resume(
            follower.resume, columns.run, follower.outputs, postprocess=False, **STREAM
        )
        scored = partial(score.chips, self.runner.service)
        for followed in (self.ran, self.resumed):
            followed.then(scored, columns.run, self.parts.prompt.chips, **QUICK)
            for ended in (followed.then, followed.failure):
                ended(lambda: knobs.idle, None, [*knobs.idle], **QUICK)
        submitted.failure(lambda: knobs.idle, None, [*knobs.idle], **QUICK)
        knobs.stop.click(follower.stop, columns.run, None, **QUICK)
        return [submitted, self.ran, self.resumed, self.picked, self.forked, self.grown]

    def _wire_columns(self, writing: list[Any]) -> None:
        columns, knobs = self.parts.columns, self.parts.limits
        self.cleared = knobs.clear.click(
            self.clear, columns.inputs,
            [*columns.outputs, self.parts.prompt.text, self.follower.status,
             self.inspector.parts.selection, *knobs.idle, *self.runner.faults],
            cancels=writing, **QUICK,
        )  # fmt: skip
        in_turn(self.cleared)
        self.rearranged = columns.wire(
            stop_first=writing, leave=self.follower.leave, idle=knobs.idle
        )
        acted = self.inspector.parts.tree.branch(
            self.branch, columns.inputs, [*self.branches.outputs, *knobs.idle], cancels=writing,
            **QUICK,
        )  # fmt: skip
        in_turn(acted)
        self.rearranged.append(acted)

    def branch(self, values: Values, event: gr.EventData) -> Updates:
        """A text shown in a column, or no longer; what is being written there ends."""
        updates = self.branches.act(values, event, self.follower.leave)
        return updates | (self.parts.limits.idle if self.parts.columns.run in updates else {})

    def rested(self, run: str) -> Updates:
        """Show that nothing is written, unless a run goes on."""
        idle = self.parts.limits.idle
        return dict.fromkeys(idle, gr.skip()) if run in self.follower.running else idle

    def clear(self, values: Values) -> Updates:
        """An empty prompt and no results; recipes, limits and seed stay."""
        columns = self.parts.columns
        self.follower.leave(values[columns.run])
        updates: Updates = {
            columns.run: "",
            self.parts.prompt.text: "",
            self.follower.status: status("", ""),
            self.inspector.parts.selection: None,
        }
        for column in columns.columns[: values[columns.count]]:
            updates[column.strip] = strip.empty(column.index)
        return updates | self.parts.limits.idle | self.runner.faults

    def _wire_past(self, writing: list[Any]) -> None:
        """Opening, Undo and Redo; what writes into the columns ends where another run is shown."""
        restorer, past, columns = self.restorer, self.restorer.past, self.parts.columns
        self.opened = self.page.load(
            restorer.open, past, restorer.outputs, js="() => [playground.opening()]", **QUICK
        )
        self.restored = past.restore(
            restorer.restore, {columns.run}, [*restorer.outputs, past], cancels=writing, **QUICK
        )
        revised = past.revise(
            restorer.revise, columns.inputs, [*self.parts.set_up, past, *columns.outputs], **QUICK
        )
        self.brought = self.parts.header.opener.bring(
            self.opener.bring, {columns.run}, self.opener.outputs, cancels=writing, **QUICK
        )
        in_turn(self.brought)
        for event in (self.restored, revised):
            event.failure(None, None, None, js="() => playground.past.failed()", **QUICK)
            in_turn(event)
        for event in (self.opened, self.restored, revised, self.brought):
            event.then(self.models.choose, self.models.inputs, self.models.outputs, **STREAM)

    def _wire_model(self) -> None:
        models, prompt, chat = self.models, self.parts.prompt, self.parts.limits.chat
        self.parts.header.model.input(
            models.choose, models.inputs, models.outputs, **STREAM
        ).then(None, None, None, js="() => playground.chat.follow()", **QUICK)  # fmt: skip
        gr.on(
            [prompt.text.change, chat.change, prompt.split.change],
            models.read,
            models.inputs,
            prompt.chips,
            trigger_mode="always_last",
            **QUICK,
        )

    def _wire_address(self) -> None:
        """The page's script is told of what is set up beside the columns, which tell it theirs."""
        names = ["model", "prompt", "tokens", "least", "seed", "stop", "chat", "alone", "split"]
        inputs, listed = self.parts.set_up, ", ".join(names)
        told = f"({listed}) => {{ playground.address({{{listed}}}); "
        self.opened.then(None, inputs, None, js=f"{told} playground.opened(); }}", **QUICK)
        gr.on([part.change for part in inputs], None, inputs, None, js=f"{told} }}", **QUICK)

    def _wire_inspector(self, reference: gr.HTML) -> None:
        inspector, run, first = self.inspector, self.parts.columns.run, self.follower.first

        def followed(values: Values) -> Updates:
            return inspector.follow(values[run], inspector.state(values))

        def opened(values: Values) -> Updates:
            return inspector.open(values[first], inspector.state(values))

        for column in self.parts.columns.columns:
            inspector.listen(column.strip.pick)
            inspector.hear(column.strip.turn, inspector.turned)
        inspector.hear(reference.refer, inspector.referred)
        asked, drawn = inspector.inputs, inspector.outputs
        for event in (self.opened, self.restored, self.cleared, self.brought):
            event.then(inspector.redraw, asked, drawn, **QUICK)
        for event in self.rearranged:
            event.then(followed, {*asked, run}, drawn, **QUICK)
        for event in (self.ran, self.resumed, self.picked, self.grown):
            event.then(opened, {*asked, first}, drawn, **QUICK)


def _guard(page: gr.Blocks, restorer: Restorer, inspector: Inspector) -> None:
    """Say where each event's cause is; what is in none of these places stands above the columns."""
    parts, line = restorer.parts, restorer.runner.follower.status

    def at_line(words: str) -> Updates:
        return {
            line: status("bad", words),
            restorer.past: {"well": False, "ticket": monotonic()},
            **parts.limits.idle,
        }

    def at_model(words: str) -> Updates:
        return {parts.header.fault: words, parts.header.facts: status("bad", "not loaded")}

    def at_chart(words: str) -> Updates:
        return {inspector.parts.fault: words, inspector.parts.again: gr.update(interactive=True)}

    def at_score(words: str) -> Updates:
        return {inspector.parts.not_scored: words, inspector.parts.scores: None}

    def at_inspector(words: str) -> Updates:
        return {inspector.parts.caption: {"title": "Not shown", "facts": words, "letter": ""}}

    def find(outputs: Sequence[Any]) -> event_errors.Tell | None:
        for part, tell in (
            (line, at_line),
            (inspector.parts.again, at_chart),
            (inspector.parts.scores, at_score),
            (parts.header.facts, at_model),
            (inspector.parts.caption, at_inspector),
        ):
            if part in outputs:
                return tell
        own = [c.fault for c in parts.columns.columns if c.fault in outputs]
        return (lambda words: {own[0]: words}) if len(own) == 1 else None

    event_errors.guard(page, find, line, at_line)
