"""Shows a run of the history, without a model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import gradio as gr

from playground.history import run_of
from playground.trace.soundness import check
from playground.ui.archive import ID, OFF
from playground.ui.gradio_compat import told_by
from playground.ui.recorded import setup
from playground.ui.restore import Restorer
from playground.ui.state import Values
from playground.ui.status import status

GONE = "It is no longer in the history: it was deleted, or was too old."

Updates = dict[Any, Any]


@dataclass(frozen=True)
class ArchiveOpener:
    """The event that shows an entry of the history, without a model."""

    restorer: Restorer
    most_columns: int

    @property
    def outputs(self) -> list[Any]:
        return self.restorer.outputs

    def open(self, values: Values, event: gr.EventData) -> Updates:
        """Show an entry and its set-up; or say why not, and leave what is shown."""
        updates = self.shown(str(told_by(event).get("id", "")))
        columns = self.restorer.parts.columns
        if columns.run in updates:
            self.restorer.runner.follower.leave(values[columns.run])
            updates |= self.restorer.parts.limits.idle
        return updates

    def shown(self, id: str) -> Updates:
        """The updates that show an entry, for whoever has its id."""
        restorer, service = self.restorer, self.restorer.models.service
        line, history = restorer.runner.follower.status, service.history
        try:
            found = None if history is None else history.get(id)
            if found is None:
                return {line: status("bad", OFF if history is None else GONE)}
            run = run_of(*found).model_copy(update={"id": f"{ID}-{id}"})
            check(run, self.most_columns)
        except ValueError as problem:
            return {line: status("bad", f"Not opened: {str(problem)[:160]}")}
        service.keep(run)
        made = setup(run).model_copy(
            update={
                "names": tuple(lane.name for lane in run.lanes),
                "model": None if restorer.models.refusal(run.model.id) else run.model.id,
            }
        )
        when = datetime.fromtimestamp(found[0].created, UTC)
        told = f"From the history: {run.model.title} wrote this on {when.day} {when:%B %Y}."
        return restorer.show(made, run.id, "") | {
            line: status("recorded", f"{told} Press Run to write it anew.")
        }
