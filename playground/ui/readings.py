"""What the inspector has a model do anew: read a text, and measure a column once more."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from playground.colours import COLOURS
from playground.engine import Busy, FieldError
from playground.errors import ModelError
from playground.trace import Comparison
from playground.trace.scores import TextScore
from playground.ui import drawing, inspector_view, likelihood
from playground.ui.element import QUICK
from playground.ui.inspector_parts import InspectorParts
from playground.ui.inspector_view import InspectorView
from strategies.recipe import RecipeError

Updates = dict[Any, Any]
Score = Callable[[Comparison, str, gr.Request], TextScore]
Measure = Callable[[Comparison, int, gr.Request], Iterator[tuple[Comparison, Comparison | None]]]


class Readings:
    """The events of *Likelihood* and *Timings* that wait for a model.

    ``find`` tells where a selection leads; without ``measure`` or ``score`` there is none.
    """

    def __init__(
        self,
        parts: InspectorParts,
        find: Callable[[Any], InspectorView | None],
        measure: Measure | None,
        score: Score | None,
    ) -> None:
        self.parts, self.find, self.measure, self.score = parts, find, measure, score
        self.measured: OrderedDict[tuple[str, int], dict[str, Any]] = OrderedDict()

    def wire(self) -> None:
        """Have the tabs' buttons answered."""
        self.parts.own.click(self._own, self.parts.selection, self.parts.text, **QUICK)
        gr.on(
            [self.parts.scoring.click, self.parts.text.submit],
            self._scored, [self.parts.selection, self.parts.text],
            [self.parts.not_scored, self.parts.scores],
            show_progress="hidden", concurrency_limit=None, api_visibility="private",
        )  # fmt: skip
        self.parts.again.click(
            self._measured, self.parts.selection,
            [self.parts.again, self.parts.fault, self.parts.uncached],
            show_progress="hidden", concurrency_limit=None, api_visibility="private",
        )  # fmt: skip

    def _own(self, selection: Any) -> Any:
        """The text that the inspected column shows."""
        view = self.find(selection)
        return gr.skip() if view is None else view.comparison.lanes[view.selection.lane].text

    def _scored(self, request: gr.Request, selection: Any, text: str) -> Updates:
        """How each column's recipe would have come to write the text."""
        view = self.find(selection)
        if view is None or self.score is None:
            return {self.parts.not_scored: inspector_view.NO_RUN_ADVICE, self.parts.scores: None}
        try:
            found = self.score(view.whole, text, request)
        except (FieldError, ModelError, Busy, RecipeError) as problem:
            return {self.parts.not_scored: f"Not read: {problem}", self.parts.scores: None}
        colour = COLOURS[view.selection.lane]
        return {self.parts.not_scored: None, self.parts.scores: likelihood.scores(found, colour)}

    def _measured(self, request: gr.Request, selection: Any) -> Iterator[Updates]:
        """Run the inspected column twice, and draw its steps with the cache and without."""
        yield {
            self.parts.again: gr.update(interactive=False),
            self.parts.fault: None,
            self.parts.uncached: None,
        }
        idle = {self.parts.again: gr.update(interactive=True)}
        view = self.find(selection)
        if view is None or self.measure is None:
            yield idle | {self.parts.fault: inspector_view.NO_RUN_ADVICE}
            return
        run, lane = view.comparison, view.selection.lane
        try:
            for kept, bare in self.measure(run, lane, request):
                drawn = drawing.uncached(lane, kept, bare)
                yield {self.parts.uncached: drawn}
            assert bare is not None  # the last is of both
            failed = kept.lanes[0].error or bare.lanes[0].error
        except (FieldError, ModelError, Busy) as problem:
            yield idle | {self.parts.fault: f"Not measured: {problem}", self.parts.uncached: None}
            return
        if failed:
            yield idle | {self.parts.fault: f"Not measured: {failed}", self.parts.uncached: None}
            return
        self.measured[run.id, lane] = drawn
        while len(self.measured) > inspector_view.KEPT:
            self.measured.popitem(last=False)
        yield idle
