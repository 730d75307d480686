"""Restores a set-up and its run: from a link, after a reload, by Undo and Redo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from pydantic import ValidationError

from playground.engine.request import STOPPED
from playground.trace import Comparison
from playground.ui import links, preview, recorded, strip
from playground.ui.gradio_compat import told_by
from playground.ui.inspector_view import opening
from playground.ui.links import Address, Kept, Lost, Setup
from playground.ui.model_choice import ModelChoice
from playground.ui.run import Runner
from playground.ui.state import PageParts, Values
from playground.ui.status import outcome, status

GONE = "Its run is no longer kept on the server; press Run to write it again."
LOST = (
    "The server was started again, or another one answers, which does not have this run. Its texts "
    "stay; press Run to write it again and look into it."
)
BACK = "The server was lost while it wrote this, and one answers again: it goes on …"

Updates = dict[Any, Any]


@dataclass(frozen=True)
class Restorer:
    """The events that show an earlier state of a page.

    ``start`` is the set-up of a page without a link. ``past`` is the element of Undo and Redo,
    whose value says whether the state it asked for is shown; ``selection`` is the inspector's.
    """

    parts: PageParts
    runner: Runner
    models: ModelChoice
    start: Setup
    past: gr.HTML
    selection: gr.State

    @property
    def outputs(self) -> list[Any]:
        """The components that show a set-up and its run."""
        parts, runner = self.parts, self.runner
        drawn = [
            *parts.set_up, runner.follower.status, self.selection, runner.previews,
            *parts.columns.outputs, *runner.faults, *parts.limits.idle,
        ]  # fmt: skip
        return list(dict.fromkeys(drawn))

    def open(self, sent: Any) -> Updates:
        """Show the state that this tab kept over a reload, or else the set-up of the address."""
        line = self.runner.follower.status
        try:
            asked = Address.model_validate(sent)
        except ValidationError:  # kept by another version of the page
            asked = Address.model_validate({**(sent or {}), "kept": None, "lost": None})
        if asked.kept is not None:
            return self._reloaded(asked.kept, asked.lost)
        settings = self.models.service.settings
        link = links.restored(asked, self.start, settings, self.models.refusal)
        if link is None or (link.setup == self.start and not link.faults):
            return {line: gr.skip()}
        updates = self.show(link.setup, "", "Set up from the link. Press Run.")
        told = []
        for name, sentence in link.faults.items():
            place = self.runner.places.get(name)
            if place is None:
                told.append(sentence)
            else:  # two numbers share one place for sentences
                updates[place] = " ".join(filter(None, [updates.get(place), sentence]))
        if len(told) < len(link.faults):
            told.append("Not all of the link can be used here: see what is said in red.")
        if told:
            updates[line] = status("bad", " ".join(told))
        return updates

    def _reloaded(self, kept: Kept, lost: Lost | None) -> Updates:
        """Show what this tab kept; its run goes on if it was being written.

        A server that does not have the run writes it anew, once the page asks for that by the
        event ``again``. Its text is the same, since the seed is, and takes the place of the text
        that stands there once it is longer.
        """
        shown = self.show(kept.setup, kept.run, "As it was before the reload.")
        resuming = self.runner.follower.resuming(kept.run)
        if resuming:
            return shown | resuming | self.parts.limits.busy
        found = self.parts.columns.resolve(kept.run) if kept.run else None
        if lost is None or (found is not None and not (lost.again and _was_stopped(found))):
            return shown
        again = lost.again is not None
        updates: Updates = {
            column.strip: strip.lost(column.index, text, again)
            for column, text in zip(self.parts.columns.columns, lost.texts, strict=False)
            if text is not None and column.index < len(kept.setup.recipes)
        }
        line = status("", LOST)
        if again:
            stands = [len(text.tokens.splitlines()) if text else 0 for text in lost.texts]
            line = status("running", BACK) | {"again": stands}
            updates |= self.parts.limits.busy
        return shown | updates | {self.runner.follower.status: line, self.selection: None}

    def restore(self, values: Values, event: gr.EventData) -> Updates:
        """Show an earlier state of the page, its run included."""
        asked, told = Kept.model_validate(told_by(event)), told_by(event)
        self.runner.follower.leave(values[self.parts.columns.run])
        done = "Undone." if told.get("why") == "undo" else "Done again."
        return (
            self.show(asked.setup, asked.run, done)
            | self.parts.limits.idle
            | {self.past: {"well": True, "ticket": told.get("ticket")}}
        )

    def revise(self, values: Values, event: gr.EventData) -> Updates:
        """Show an earlier set-up, and leave the run on the page as it is, finished or not."""
        asked, ticket = Kept.model_validate(told_by(event)), told_by(event).get("ticket")
        updates = self._set_up(asked.setup)
        updates |= self.parts.columns.revise(asked.setup, values, ticket)
        return updates | {self.past: {"well": True, "ticket": ticket}}

    def show(self, setup: Setup, name: str, told: str) -> Updates:
        """The updates for this set-up and this run; a sentence where the run is no longer kept."""
        columns = self.parts.columns
        shown = columns.resolve(name) if name else None
        if shown is None:
            line = status("bad", f"{told} {GONE}") if name else status("", told)
        elif name.startswith(recorded.ID):
            line = status("recorded", recorded.label(shown))
        else:
            line = status("done", f"{told} {outcome(shown)}")
        return {
            **self._set_up(setup),
            **self.runner.faults,
            **columns.restore(setup, name if shown else ""),
            self.runner.follower.status: line,
            self.selection: opening(shown) if shown else None,
            self.runner.previews: preview.setup(shown, recorded=name.startswith(recorded.ID)),
        }

    def _set_up(self, setup: Setup) -> Updates:
        """The updates for this set-up, without the columns."""
        parts, models = self.parts, self.models.service.models
        model = setup.model or models.default
        if model == self.models.service.settings.model or self.models.refusal(model):
            model = models.default
        return {
            parts.header.model: model,
            parts.prompt.text: setup.prompt,
            parts.prompt.split: setup.split,
            parts.limits.tokens: setup.tokens,
            parts.limits.least: setup.least,
            parts.limits.seed: setup.seed,
            parts.limits.ends: setup.stop,
            parts.limits.chat: setup.chat,
            parts.limits.alone: setup.alone,
        }


def _was_stopped(run: Comparison) -> bool:
    """Whether its server was stopped while it was being written."""
    return any(lane.error == STOPPED for lane in run.lanes)
