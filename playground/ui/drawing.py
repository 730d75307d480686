"""The value of the element ``plot``: a Plotly figure and the sentence above it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import plotly.graph_objects as go
from pydantic import BaseModel, ConfigDict, Field

from playground import charts
from playground.colours import COLOURS, LETTERS
from playground.explain.texts import showing
from playground.trace import Comparison
from playground.ui.inspector_view import NO_RUN_ADVICE, InspectorView
from playground.ui.views import LONGEST

Value = dict[str, Any]
Chart = Literal["per_step", "timeline", "memory", "steps"]


class ChartRequest(BaseModel):
    """A chart of a run's texts; ``after`` and ``reference`` are of the chart ``steps``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    chart: Chart
    run: Annotated[str, Field(max_length=LONGEST)]
    texts: list[Annotated[int, Field(ge=0)]] = Field(default_factory=list, max_length=len(LETTERS))
    after: bool = False
    reference: int | None = Field(None, ge=0, lt=len(LETTERS))


def drawing(figure: go.Figure | None, sentence: str, view: str = "") -> Value:
    """A figure, the sentence above it, and the view whose zoom it keeps, as the element's value.

    Without a figure only the sentence is shown. The figure is its JSON as text: Gradio copies every
    number of a value by itself, at every change of any of the element's properties.
    """
    made = None if figure is None else figure.to_json()
    return {"figure": made, "sentence": sentence, "view": view}


def asked(view: InspectorView, chart: Chart, after: bool = False, marks: bool = False) -> Value:
    """What the element asks for, once for the same texts, and the token that is marked in it."""
    lanes, shown = view.comparison.lanes, view.selection
    what = ChartRequest(
        chart=chart,
        run=shown.run,
        texts=shown.shown(len(lanes)),
        after=after,
        reference=shown.reference if chart == "steps" else None,
    )
    now = [[lane.name, len(lane.token_ids)] for lane in lanes]  # asked for anew where it changes
    value: Value = {"asked": what.model_dump() | {"now": now}, "view": f"{shown.run}/{chart}"}
    if marks:
        value["marked"] = {"lane": shown.lane, "step": shown.step, "colour": COLOURS[shown.lane]}
    return value


def answer(comparison: Comparison | None, asked: ChartRequest) -> Value:
    """The figure and the sentence above it; ``fault`` where the run is not kept."""
    if comparison is None:
        return {"fault": NO_RUN_ADVICE}
    run = showing(comparison, asked.texts)
    if asked.chart == "steps":
        figure = charts.steps(run, asked.after, asked.reference)
        return drawing(figure, charts.about_steps(run, asked.after, asked.reference))
    if asked.chart == "per_step":
        return drawing(charts.per_step(run), charts.about_per_step(run))
    if asked.chart == "timeline":
        return drawing(charts.timeline(run), charts.about_timeline(run))
    return drawing(charts.memory(run), charts.about_memory(run))


def uncached(lane: int, kept: Comparison, bare: Comparison | None) -> Value:
    """The chart of a column measured with its cache and without, as far as both runs are."""
    if bare is not None and bare.lanes[0].finish_reason is not None:
        told = charts.about_uncached(lane, kept, bare)
    else:
        how, run = ("with", kept) if bare is None else ("without", bare)
        written = f"{len(run.lanes[0].trace.path())} of {run.max_new_tokens} tokens"
        told = f"Measuring column {LETTERS[lane]} alone, {how} the cache: {written} …"
    return drawing(charts.uncached(lane, kept, bare), told, f"{kept.id}/uncached")
