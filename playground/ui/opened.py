"""Opens a saved comparison on the page: its file or its JSON, chosen or dropped."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import gradio as gr
from pydantic import BaseModel, ConfigDict, ValidationError

from playground.engine import Busy
from playground.html.file import unpacked
from playground.trace import Comparison
from playground.trace.soundness import check
from playground.ui.gradio_compat import told_by
from playground.ui.links import Setup
from playground.ui.recorded import setup
from playground.ui.restore import Restorer
from playground.ui.state import Values
from playground.ui.status import status
from playground.ui.visitor import counted

ID = "file"  # how the ids of such comparisons begin
SENT_BYTES = 4 << 20  # of a request that brings one, packed
UNPACKED_BYTES = 24 << 20
SHOWN = 160  # characters of what is wrong with one

Updates = dict[Any, Any]


class Brought(BaseModel):
    """A comparison's JSON, compressed and in base64; or why the page's code found none."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = ""
    data: str = ""
    fault: str = ""


@dataclass(frozen=True)
class FileOpener:
    """The event of the element ``opener``, which brings a file's comparison."""

    restorer: Restorer
    most_columns: int

    @property
    def outputs(self) -> list[Any]:
        return self.restorer.outputs

    def bring(self, values: Values, request: gr.Request, event: gr.EventData) -> Updates:
        """Show the comparison and its set-up; or say why not, and leave what is shown."""
        restorer = self.restorer
        service, line = restorer.models.service, restorer.runner.follower.status
        try:
            counted(request, service)
            run = read(told_by(event), self.most_columns)
        except (ValueError, Busy) as problem:
            return {line: status("bad", f"Not opened: {problem}")}
        restorer.runner.follower.leave(values[restorer.parts.columns.run])
        service.keep(run)
        made = setup(run).model_copy(
            update={
                "names": tuple(lane.name for lane in run.lanes),
                "model": None if restorer.models.refusal(run.model.id) else run.model.id,
            }
        )
        return self._shown(made, run)

    def _shown(self, made: Setup, run: Comparison) -> Updates:
        line = self.restorer.runner.follower.status
        shown = self.restorer.show(made, run.id, "")
        return shown | {line: status("recorded", label(run))}


def read(sent: Any, most_columns: int) -> Comparison:
    """The comparison that the page's code sent, under an id of its own; ``ValueError`` if none."""
    brought = Brought.model_validate(sent)
    if brought.fault:
        raise ValueError(brought.fault)
    written = unpacked(brought.data, UNPACKED_BYTES)
    try:
        run = Comparison.from_json(written)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "file"
        raise ValueError(f"{place}: {first['msg']}."[:SHOWN]) from None
    check(run, most_columns)
    name = f"{ID}-{hashlib.sha256(written).hexdigest()[:16]}"
    return run.model_copy(update={"id": name})


def label(run: Comparison) -> str:
    """That it comes from a file, and what was recorded when."""
    try:
        made = datetime.fromisoformat(run.created)
        when = f" on {made.day} {made:%B %Y}"
    except ValueError:
        when = ""
    wrote = f"{run.model.title} wrote this{when} in {run.model.dtype}"
    return f"Opened from a file: {wrote}. Press Run to write it anew."
