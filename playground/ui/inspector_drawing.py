"""What the inspector shows of a selection: its head, and the tab that is open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr
from pydantic import ValidationError

from playground.explain.texts import showing
from playground.ui import (
    all_texts,
    beams,
    data_table,
    distances,
    downloads,
    drawing,
    inspector_view,
    listing,
    panels,
    ribbon,
    walk,
)
from playground.ui.inspector_parts import InspectorParts
from playground.ui.inspector_view import InspectorState, InspectorView, Selection
from playground.ui.views import Resolve

Updates = dict[Any, Any]  # what an event sets, by component


class Drawing:
    """Draws into ``parts`` what ``find`` finds of a selection.

    ``knobs`` gives the value of the element ``changes``. ``measured`` has the charts of columns
    that were run again, by run and lane.
    """

    def __init__(
        self,
        parts: InspectorParts,
        find: Callable[[Any], InspectorView | None],
        knobs: Callable[[InspectorView], dict[str, Any]],
        measured: Mapping[tuple[str, int], dict[str, Any]],
    ) -> None:
        self.parts, self.find, self.knobs, self.measured = parts, find, knobs, measured

    def of(self, state: InspectorState) -> Updates:
        """The visible tab for this selection; nothing of the others is computed."""
        view = self.find(state.selection)
        updates: Updates = {
            self.parts.selection: view.selection.model_dump() if view else None,
            self.parts.caption: inspector_view.caption(view),
            self.parts.column: gr.update(**inspector_view.columns(view)),
            self.parts.token: inspector_view.tokens(view),
            self.parts.walk: None if view is None else walk.view(view),
            self.parts.stage: gr.update(**inspector_view.stages(view, state.stage)),
            self.parts.texts: gr.update(**inspector_view.texts(view, state.texts)),
            self.parts.onward: None,
        }
        if view is None or view.step is None:
            return updates | dict.fromkeys(self.parts.charts)
        return updates | self._tab(view, state)

    def _tab(self, view: InspectorView, state: InspectorState) -> Updates:
        if state.tab == "why":
            return {self.parts.why: listing.why(view), self.parts.panels: panels.panels(view)}
        if state.tab == "draw":
            return {
                self.parts.tickets: listing.tickets(view),
                self.parts.neighbours: listing.neighbours(view),
            }
        if state.tab == "beams":
            return {self.parts.beams: beams.view(view)}
        if state.tab == "texts":
            return {self.parts.all_texts: all_texts.view(view)}
        if state.tab == "changes":
            return {self.parts.changes: self.knobs(view)}
        if state.tab == "likelihood":
            return {self.parts.distances: distances.distances(view)}
        if state.tab == "timings":
            known = self.measured.get((view.comparison.id, view.selection.lane))
            return {
                self.parts.per_step: drawing.asked(view, "per_step", marks=True),
                self.parts.timeline: drawing.asked(view, "timeline"),
                self.parts.memory: drawing.asked(view, "memory"),
                self.parts.uncached: known,
            }
        if state.tab == "steps":
            after = state.side == "recipe"
            return {
                self.parts.ribbon: ribbon.view(view, state.side),
                self.parts.steps: drawing.asked(view, "steps", after, marks=True),
            }
        if state.tab == "tree":
            shown = view.selection.model_dump(include={"run", "lane", "output", "step"})
            return {self.parts.tree: shown, self.parts.apart: shown}
        if state.tab == "data":
            run = view.whole
            samples = "all" if state.texts == "all" else view.selection.shown(len(run.lanes))
            return {
                self.parts.table: data_table.view(view, samples),
                self.parts.files: downloads.links(run.id, samples),
            }
        return self._named(inspector_view.distribution(view, state.stage))

    def _named(self, named: dict[str, Any]) -> Updates:
        return {getattr(self.parts, name): value for name, value in named.items()}


def find(resolve: Resolve, selection: Any) -> InspectorView | None:
    """Where a selection leads; a step past a text's end is its last. None without a run."""
    if selection is None:
        return None
    try:
        asked = Selection.model_validate(selection)
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(map(str, fault["loc"])) or "selection"
        raise gr.Error(f"{field}: {fault['msg']}.", print_exception=False) from None
    comparison = resolve(asked.run)
    if comparison is None or asked.lane >= len(comparison.lanes):
        return None
    output = asked.output if asked.output < len(comparison.lanes[asked.lane].trace.outputs) else 0
    asked = asked.model_copy(update={"output": output})
    shown = showing(comparison, asked.shown(len(comparison.lanes)))
    path = shown.lanes[asked.lane].trace.path()
    step = min(asked.step, max(0, len(path) - 1))
    return InspectorView(shown, asked.model_copy(update={"step": step}), path, comparison)
