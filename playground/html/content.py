"""What the elements of a file show: for every token, computed once, since no server will answer.

The values are those of the page's elements, from the same functions. What depends on a token's
record alone is kept by the record's number, which texts of one column share.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import plotly.graph_objects as go

from playground import charts
from playground.colours import COLOURS, INKS, LETTERS
from playground.explain.replay import RecordedText, slack
from playground.explain.texts import showing
from playground.trace import Comparison
from playground.trace.frame import places
from playground.ui import (
    beams,
    data_table,
    inspector_view,
    knobs,
    listing,
    panels,
    ribbon,
    strip,
    tree,
    walk,
)
from playground.ui.apart import Apart, DistancesRequest
from playground.ui.chips import chips_of
from playground.ui.distances import distances
from playground.ui.drawing import drawing
from playground.ui.inspector_view import SIDES, InspectorView, Selection
from playground.ui.model_facts import facts_line
from playground.ui.status import outcome
from strategies.recipe import RecipeError

PANELS = (
    "Each panel is a step: thin, what it was given; thick, what it left; dashed, where it cuts. "
    "Point at a candidate to follow it."
)
WHY = "Grey: what the model gave a candidate. Colour: what the recipe left of it."
MOST_ASKED = 300  # tokens whose ranges are computed, at some milliseconds each
LONG = "Of so long a comparison a file does not say how far each setting may go; the page does."
MOST_WALKED = 600  # tokens whose choices are held step by step, at some hundred bytes each
TOO_LONG = "Of so long a comparison a file does not hold these; the page does."

Value = dict[str, Any]


def content(comparison: Comparison) -> Value:
    """All values of all elements; ``texts`` has those that depend on which text is shown.

    A file shows the texts of one number in all columns, the first where a column has no such text.
    """
    run = comparison.model_copy(update={"id": "run"})  # of which views and addresses are made
    most = max((len(lane.trace.outputs) for lane in run.lanes), default=0)
    written = 0  # tokens of the texts before
    texts: list[Value] = []
    for text in range(max(1, most)):
        texts.append(_text(run, text, asks=written < MOST_ASKED, walks=written < MOST_WALKED))
        written += sum(len(path) for path in texts[-1]["paths"])
    return {
        "name": comparison.id,
        "head": _head(comparison),
        "opening": inspector_view.opening(run),
        "sides": SIDES,
        "lanes": [_lane(run, lane) for lane in range(len(run.lanes))],
        "texts": texts,
        "forest": tree.drawn(
            [
                leaf
                for lane, result in enumerate(run.lanes)
                for leaf in tree.leaves(f"run/{lane}", result, lane)
            ]
        ),
        "beams": [
            beams.answer(run, beams.BeamsRequest(run="run", lane=lane))
            for lane in range(len(run.lanes))
        ],
        "csv": run.to_csv("all"),
    }


def _head(run: Comparison) -> Value:
    """The prompt, the model, and the limits."""
    told = [("seed", str(run.seed)), ("new tokens", f"up to {run.max_new_tokens}")]
    if run.min_new_tokens:
        told.append(("at least", str(run.min_new_tokens)))
    if run.stop:
        told.append(("stop", "  ".join(json.dumps(one, ensure_ascii=False) for one in run.stop)))
    told += [("chat template", "on")] if run.chat else []
    told += [("columns ran", "one after the other")] if run.timings.alone else []
    return {
        "prompt": run.prompt,
        "model": run.model.title,
        "facts": facts_line(run.model),
        "created": run.created,
        "outcome": outcome(run),
        "settings": told,
        "chips": chips_of(run.prompt_tokens, run.model.context_length),
    }


def _lane(run: Comparison, lane: int) -> Value:
    """A column's head, and what is said of each of its records."""
    result = run.lanes[lane]
    trace = result.trace
    shown = {node for output in trace.outputs for node in output.nodes}
    first = _view(run, run, [0] * len(run.lanes), lane)
    return {
        "letter": LETTERS[lane],
        "colour": COLOURS[lane],
        "ink": INKS[lane],
        "name": result.name,
        "recipe": result.recipe,
        "steps": [
            {"strategy": step.strategy, "label": step.label, "enabled": step.enabled}
            for step in trace.chain.steps
        ],
        "stages": inspector_view.stages(first, "final")["choices"],
        "records": {str(node): _record(run, lane, node) for node in sorted(shown)},
    }


def _record(run: Comparison, lane: int, node: int) -> Value:
    """The charts and lists of one record, the bars after each stage, the model's own first."""
    trace = run.lanes[lane].trace
    step = trace.steps[node]
    place = Selection(run=run.id, lane=lane, step=step.index)
    view = InspectorView(run, place, [step] * (step.index + 1), run)  # no more of its text is read
    choices = inspector_view.stages(view, None)["choices"]
    shown = [inspector_view.distribution(view, asked) for _, asked in choices]
    # What is saved of candidates, and of stages, in whichever view.
    tables = {name: value.get("table") for name, value in shown[0].items()}
    why, stages = listing.why(view), panels.panels(view)
    for row in why["rows"]:
        row["tell"] = None  # nothing goes on from a candidate here
    return {
        "bars": [one["bars"] | {"table": None, "fork": None} for one in shown],
        "stages": [one["stages"] | {"table": None} for one in shown],
        "tables": tables,
        "why": why | {"sentence": WHY, "table": None},
        "panels": stages | ({"sentence": PANELS} if trace.stages else {}) | {"table": None},
    }


def _text(run: Comparison, text: int, *, asks: bool, walks: bool) -> Value:
    """What depends on which texts the columns show."""
    lanes = range(len(run.lanes))
    texts = [text if text < len(lane.trace.outputs) else 0 for lane in run.lanes]
    seen = showing(run, texts)
    views = [_view(run, seen, texts, lane) for lane in lanes]
    return {
        "strips": [strip.shown(run, lane, text) | {"offer": "", "chooser": None} for lane in lanes],
        "paths": [_path(view) for view in views],
        "none": [inspector_view.caption(view) if view.step is None else None for view in views],
        "changes": [_changes(view, asks) for view in views],
        "walks": [_walk(run, view, walks) for view in views],
        "beams": [None if view.step is None else beams.view(view) for view in views],
        "apart": _apart(run, texts) if walks else {"fault": TOO_LONG},
        "ribbon": {side: ribbon.view(views[0], side) for _, side in SIDES} if views else None,
        "figures": ribbon.answer(run, ribbon.FiguresRequest(run="run", texts=texts)),
        "distances": [distances(view) for view in views],
        "timings": {
            "per_step": _drawing(
                charts.per_step(seen), charts.about_per_step(seen), "time-per-step"
            ),
            "timeline": _drawing(charts.timeline(seen), charts.about_timeline(seen), "timeline"),
            "memory": _drawing(charts.memory(seen), charts.about_memory(seen), "memory"),
        },
        "steps": {side: _steps(seen, side == "recipe") for _, side in SIDES},
        "table": _table(views[0]) if views else None,
    }


def _view(run: Comparison, seen: Comparison, texts: list[int], lane: int) -> InspectorView:
    """The first token of a column, where the columns show the texts of these numbers."""
    selection = Selection(run=run.id, lane=lane, step=0, output=texts[lane], texts=texts)
    return InspectorView(seen, selection, seen.lanes[lane].trace.path(), run)


def _path(first: InspectorView) -> list[Value]:
    """Of each token what depends on its place: its number, its noise, the other columns there."""
    places = []
    for step, node in enumerate(first.trace.outputs[0].nodes if first.path else ()):
        selection = first.selection.model_copy(update={"step": step})
        view = replace(first, selection=selection)
        places.append(
            {
                "record": node,
                "caption": inspector_view.caption(view),
                "tickets": listing.tickets(view),
                "neighbours": listing.neighbours(view),
            }
        )
    return places


def _walk(run: Comparison, view: InspectorView, walks: bool) -> Value:
    """The element's value for a column's text, and all choices of it."""
    shown = walk.view(view)
    lane, output, most = shown["lane"], shown["output"], shown["most"]
    if not walks:
        return shown | {"answer": {"fault": TOO_LONG}}
    asked = walk.ChoicesRequest(run="run", lane=lane, output=output)
    whole = walk.answer(run, asked)
    for first in range(walk.AT_ONCE, most, walk.AT_ONCE):
        more = walk.answer(run, asked.model_copy(update={"first": first}))
        whole["choices"] += more["choices"]
    return shown | {"answer": whole}


def _apart(run: Comparison, texts: list[int]) -> Value:
    """How far apart the columns are: the element's answer, and the chart of each pair."""
    asks = Apart(lambda _: run)
    first = asks.view(DistancesRequest(run="run", texts=texts))
    charts_of = [
        asks.view(DistancesRequest(run="run", texts=texts, left=left, right=right))["chart"]
        for left, right, *_ in first["pairs"]
    ]
    return first | {"charts": charts_of, "chart": None}


def _changes(view: InspectorView, asks: bool) -> Value | None:
    """The knobs of a column, and how far each may be turned, in all and at each token."""
    lane = view.selection.lane
    if view.step is None or view.comparison.lanes[lane].finish_reason is None:
        return None
    shown = knobs.view(view)
    if not shown["settings"]:
        return shown | {"ranges": {}}
    if not asks:
        return shown | {"ranges": {"fault": LONG}}
    try:
        found = slack(RecordedText(view.comparison, lane, 0))
    except RecipeError as error:  # of a strategy that is not installed here
        return shown | {"ranges": {"fault": str(error)}}
    ranges = {
        name: knobs.range_told(one)
        | {"tokens": [[at.low, at.high, at.below, at.above] for at in one.tokens]}
        for name, one in found.items()
    }
    return shown | {"ranges": ranges}


def _drawing(figure: go.Figure | None, sentence: str, view: str) -> Value:
    """The value of a chart, with its figure as data, whose numbers are rounded with all others."""
    value = drawing(figure, sentence, view)
    return value | {"figure": value["figure"] and json.loads(value["figure"])}


def _steps(run: Comparison, after: bool) -> Value:
    """The chart of all steps; and, for each column that others may be compared with, what differs.

    That is the shapes and the sentence.
    """

    def of(reference: int | None) -> Value:
        figure = charts.steps(run, after, reference)
        return _drawing(figure, charts.about_steps(run, after, reference), "steps")

    differing = [of(reference) for reference in range(len(run.lanes))]
    return of(None) | {
        "references": [
            {"shapes": one["figure"]["layout"].get("shapes", []), "sentence": one["sentence"]}
            for one in differing
        ]
    }


def _table(view: InspectorView) -> Value:
    """The tokens of the shown texts as on the page, by column and row."""
    run = view.whole
    return {
        "columns": data_table.columns(run),
        "rows": data_table.rows(run, places(run.lanes, view.selection.shown(len(run.lanes)))),
    }
