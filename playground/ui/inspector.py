"""The region under the columns: why a token was chosen, where the time went, the run as data.

    inspector = Inspector(resolve, first={"run": "recorded", "lane": 1, "step": 3})
    inspector.listen(strip.pick)        # an element's event that tells run, lane, step (and output)
    event.then(inspector.redraw, inspector.inputs, inspector.outputs, **QUICK)

``resolve(run)`` gives a ``Comparison`` or None. Of what is drawn the visible tab alone is computed,
and a run that has grown is shown again in the same way. Each drawing is told to the columns by the
document event ``playground:mark``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from playground.trace import Comparison
from playground.ui import branches, changes, fork
from playground.ui.apart import Apart
from playground.ui.element import QUICK
from playground.ui.gradio_compat import bound, told_by
from playground.ui.inspector_drawing import Drawing, Updates, find
from playground.ui.inspector_parts import InspectorParts
from playground.ui.inspector_view import InspectorState, InspectorView, Selection
from playground.ui.readings import Measure, Readings, Score
from playground.ui.views import View
from strategies import Context

Values = dict[Any, Any]  # what an event is given, by component


class Inspector:
    """The region, built where it is called, and the events among its components."""

    def __init__(
        self,
        resolve: Callable[[str], Comparison | None],
        first: dict[str, Any] | None = None,
        measure: Measure | None = None,
        score: Score | None = None,
        context: Callable[[Comparison], Context | None] = lambda comparison: None,
    ) -> None:
        """``measure`` runs a column again, with its cache and without; without it none is.

        ``score`` reads a text as each column's recipe would have come to write it; ``context`` is
        of a comparison's model, where it is loaded.
        """
        self.resolve = resolve
        self.asked = changes.Changes(resolve, context)
        self.parts = InspectorParts(
            find(resolve, first),
            self.asked.functions,
            branches.forest(resolve),
            Apart(resolve).function,
            resolve,
            measures=measure is not None,
            scores=score is not None,
        )
        self.readings = Readings(self.parts, self.find, measure, score)
        self._drawing = Drawing(self.parts, self.find, self.asked.view, self.readings.measured)
        self._wire()

    @property
    def inputs(self) -> set[Any]:
        """What every event of the region is given."""
        return {
            self.parts.selection,
            self.parts.tab,
            self.parts.stage,
            self.parts.side,
            self.parts.texts,
        }

    @property
    def outputs(self) -> list[Any]:
        """What a drawing sets."""
        return self.parts.outputs

    def state(self, values: Values) -> InspectorState:
        return InspectorState(
            values[self.parts.selection],
            values[self.parts.tab],
            values[self.parts.stage],
            values[self.parts.side],
            values[self.parts.texts],
        )

    @property
    def goes_on(self) -> list[Any]:
        """The elements' events that ask for a text to be gone on with."""
        elements = self.parts.onward, self.parts.changes, self.parts.tree, self.parts.bars
        return [bound(element.go) for element in elements]

    def listen(self, event: Callable[..., Any]) -> None:
        """Draw what this event of an element tells: run, lane, step and, where needed, output."""
        event(self._told, self.inputs, self.outputs, **QUICK)

    def hear(self, event: Callable[..., Any], act: Callable[..., Updates]) -> None:
        """Have ``act`` answer an element's event, which changes what is drawn of the selection."""
        event(act, self.inputs, self.outputs, **QUICK)

    def redraw(self, values: Values) -> Updates:
        """Draw again what is selected."""
        return self.draw(self.state(values))

    def turned(self, values: Values, event: gr.EventData) -> Updates:
        """Draw the columns' texts once another of a column is shown."""
        state, told = self.state(values), told_by(event)
        change = {"texts": told.get("texts"), "reference": told.get("reference")}
        if state.selection is not None and state.selection["lane"] == told.get("lane"):
            change["output"] = told.get("output")
        return self.draw(state.changed(**change))

    def referred(self, values: Values, event: gr.EventData) -> Updates:
        """Draw once the columns are compared with another one."""
        state, told = self.state(values), told_by(event)
        if state.selection is None:
            return self.draw(state)
        changed, run = state.changed(reference=told.get("reference")), str(told.get("run") or "")
        if View.parse(run).run != View.parse(state.selection["run"]).run:
            return self.draw(changed)
        return self.follow(run, changed)  # columns may have moved meanwhile

    def open(self, opening: Any, state: InspectorState) -> Updates:
        """Draw what a run opens on; where none was run, what is shown stays.

        What a person chose in the run while it was written stays chosen.
        """
        if opening is None:  # not drawn again: a run that was begun meanwhile may be shown by then
            return {self.parts.selection: gr.skip()}
        shown = state.selection or {}
        if shown.get("run") == opening["run"]:
            return self.draw(state)
        reference = shown.get("reference")
        return self.draw(replace(state, selection=opening | {"reference": reference}))

    def follow(self, run: str, state: InspectorState) -> Updates:
        """Draw the token that is shown where its column stands in ``run`` now.

        Where it was removed, the first token of the column in its place.
        """
        view, shown = self.find(state.selection), self.resolve(run) if run else None
        if shown is None:
            return self.draw(replace(state, selection=None))
        at = view.selection if view else Selection(run=run, lane=0, step=0)
        lane = View.parse(at.run).found_in(at.lane, View.parse(run), len(shown.lanes))
        if lane is None:
            at, lane = Selection(run=run, lane=0, step=0), min(at.lane, len(shown.lanes) - 1)
        # Rearranged columns show their first texts.
        first = {} if run == at.run else {"output": 0, "texts": []}
        selection = at.model_dump() | {"run": run, "lane": lane} | first
        return self.draw(replace(state, selection=selection))

    def draw(self, state: InspectorState) -> Updates:
        """The visible tab for this selection; nothing of the others is computed."""
        return self._drawing.of(state)

    def find(self, selection: Any) -> InspectorView | None:
        """Where a selection leads; None without a run."""
        return find(self.resolve, selection)

    def _wire(self) -> None:
        latest = {**QUICK, "trigger_mode": "always_last"}
        self.parts.token.input(
            self._moved, {*self.inputs, self.parts.token}, self.outputs, **latest
        )
        self.parts.column.input(
            self._turned, {*self.inputs, self.parts.column}, self.outputs, **latest
        )
        self.parts.stage.input(self._restaged, self.inputs, self.outputs, **latest)
        self.parts.side.input(self.redraw, self.inputs, self.outputs, **latest)
        self.parts.texts.input(self.redraw, self.inputs, self.outputs, **latest)
        for chart in (self.parts.per_step, self.parts.memory, self.parts.ribbon, self.parts.steps):
            chart.point(self._pointed, self.inputs, self.outputs, **QUICK)
        for walked in (self.parts.beams, self.parts.walk):
            self.listen(walked.pick)
        self.parts.stages.point(self._staged, self.inputs, self.outputs, **QUICK)
        for listed in (self.parts.panels, self.parts.why, self.parts.bars):
            listed.point(self._onward, self.parts.selection, self.parts.onward, **QUICK)
        for drawn in (self.parts.tree, self.parts.apart):
            self.listen(drawn.pick)
        self.readings.wire()
        for name, tab in self.parts.tabs.items():
            opened = partial(self._opened, name)
            tab.select(opened, self.inputs, [self.parts.tab, *self.outputs], **QUICK)

    def _opened(self, name: str, values: Values) -> Updates:
        state = self.state(values)
        if name == state.tab:  # as the page opens, Gradio selects the tab that is selected
            return {self.parts.tab: name}
        drawn = self.draw(replace(state, tab=name))
        return {self.parts.tab: name, **_without(self.parts.onward, drawn)}

    def _told(self, values: Values, event: gr.EventData) -> Updates:
        return self.draw(replace(self.state(values), selection=told_by(event)))

    # What a person is moving is not written back: the answer would undo what came after it.

    def _moved(self, values: Values) -> Updates:
        told = values[self.parts.token]
        asked = told.get("token") if isinstance(told, dict) else None
        step = asked - 1 if type(asked) is int else asked
        return _without(self.parts.token, self.draw(self.state(values).changed(step=step)))

    def _turned(self, values: Values) -> Updates:
        state = self.state(values)
        change = self._elsewhere(state.selection, values[self.parts.column])
        return _without(self.parts.column, self.draw(state.changed(**change)))

    def _restaged(self, values: Values) -> Updates:
        return _without(self.parts.stage, self.redraw(values))

    def _pointed(self, values: Values, event: gr.EventData) -> Updates:
        lane, step = _numbers(event, 2)
        state = self.state(values)
        return self.draw(state.changed(**self._elsewhere(state.selection, lane), step=step))

    def _staged(self, values: Values, event: gr.EventData) -> Updates:
        return self.draw(replace(self.state(values), stage=str(_numbers(event, 1)[0])))

    def _onward(self, selection: Any, event: gr.EventData) -> Any:
        """Offer to go on from the candidate that was clicked."""
        view, (token,) = self.find(selection), _numbers(event, 1)
        if view is None or view.step is None or token not in view.step.candidates.ids:
            return None
        return fork.offer(view, token)

    def _elsewhere(self, selection: Any, lane: int) -> dict[str, Any]:
        """What changes of a selection with its lane: the text is the one that column shows."""
        view = self.find(selection)
        if view is None or not 0 <= lane < len(view.comparison.lanes):
            return {"lane": lane, "output": 0}
        shown = view.selection.shown(len(view.comparison.lanes))
        return {"lane": lane, "output": shown[lane], "texts": shown}


def _without(part: Any, updates: Updates) -> Updates:
    return {known: value for known, value in updates.items() if known is not part}


def _numbers(event: gr.EventData, count: int) -> list[int]:
    """The first numbers a chart's point carries."""
    told = told_by(event).get("data")
    numbers = told[:count] if isinstance(told, list) else []
    if len(numbers) < count or not all(type(number) is int for number in numbers):
        raise gr.Error("data: a point tells whole numbers.", print_exception=False)
    return numbers
