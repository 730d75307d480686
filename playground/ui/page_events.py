"""The events that concern more than one region of the page, in the order a visitor meets them."""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr

from playground.ui import score, strip
from playground.ui.archive_opener import ArchiveOpener
from playground.ui.branches import Branches
from playground.ui.element import QUICK, in_turn
from playground.ui.fork import Forker
from playground.ui.inspector import Inspector
from playground.ui.manual import Picker
from playground.ui.model_choice import ModelChoice
from playground.ui.opened import FileOpener
from playground.ui.restore import Restorer
from playground.ui.run import Runner
from playground.ui.state import Values
from playground.ui.status import status

STREAM: dict[str, Any] = {  # what an event is that sends frames
    "show_progress": "hidden",
    "concurrency_limit": None,
    "api_visibility": "private",
}

Updates = dict[Any, Any]


class PageEvents:
    """Puts regions together: what happens in one is followed in others."""

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
        archive: ArchiveOpener,
    ) -> None:
        self.opener, self.archive = opener, archive
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
        begun = follower.status.again(self.runner.again, None, self.runner.outputs, **STREAM)
        self.gone_on = begun.then(
            follower.follow, columns.run, follower.outputs, postprocess=False, **STREAM
        )
        scored = partial(score.chips, self.runner.service)
        for followed in (self.ran, self.resumed, self.gone_on):
            followed.then(scored, columns.run, self.parts.prompt.chips, **QUICK)
            for ended in (followed.then, followed.failure):
                ended(lambda: knobs.idle, None, [*knobs.idle], **QUICK)
        for queued in (submitted, begun):
            queued.failure(lambda: knobs.idle, None, [*knobs.idle], **QUICK)
        knobs.stop.click(follower.stop, columns.run, None, **QUICK)
        return [
            submitted, self.ran, self.resumed, begun, self.gone_on, self.picked, self.forked,
            self.grown,
        ]  # fmt: skip

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
        self.reopened = self.parts.header.archive.reopen(
            self.archive.open, {columns.run}, self.archive.outputs, cancels=writing, **QUICK
        )
        in_turn(self.reopened)
        for event in (self.restored, revised):
            event.failure(None, None, None, js="() => playground.past.failed()", **QUICK)
            in_turn(event)
        self.chosen = [
            event.then(self.models.choose, self.models.inputs, self.models.outputs, **STREAM)
            for event in (self.opened, self.restored, revised, self.brought, self.reopened)
        ]

    def _wire_model(self) -> None:
        models, prompt, chat = self.models, self.parts.prompt, self.parts.limits.chat
        head = self.parts.header
        chosen = head.model.input(
            models.choose, models.inputs, models.outputs, cancels=self.chosen, **STREAM
        )
        taken = head.taking.take(models.take, models.inputs, models.outputs, **STREAM)
        for event in (chosen, taken):
            event.then(None, None, None, js="() => playground.chat.follow()", **QUICK)
        # The prompt may have been changed while the model came.
        taken.then(models.read, models.inputs, prompt.chips, **QUICK)
        head.taking.leave(
            models.leave, models.inputs, models.outputs, cancels=[*self.chosen, chosen, taken],
            **QUICK,
        )  # fmt: skip
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
        for event in (self.opened, self.restored, self.cleared, self.brought, self.reopened):
            event.then(inspector.redraw, asked, drawn, **QUICK)
        for event in self.rearranged:
            event.then(followed, {*asked, run}, drawn, **QUICK)
        for event in (self.ran, self.resumed, self.gone_on, self.picked, self.grown):
            event.then(opened, {*asked, first}, drawn, **QUICK)
