"""The values of the inspector's components for a token of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from playground import charts
from playground.colours import COLOURS, INKS, LETTERS, NAMES
from playground.explain import tables
from playground.explain.partings import Side, parting
from playground.trace import Comparison, StepRecord, Trace
from playground.ui import rows
from playground.ui.saved import saved
from playground.ui.views import LONGEST

TEXTS = [("that are shown", "shown"), ("all", "all")]
SIDES = [("the model’s own", "model"), ("after the recipe", "recipe")]
KEPT = 32  # latest measurements that are kept
NO_RUN = "No run to look into"
NO_RUN_ADVICE = "It is no longer kept on the server. Press Run to write a new one."
NOTHING_RAN = "Nothing was written yet, or it is no longer kept. Press Run."


class Selection(BaseModel):
    """A token of a run: ``step`` counts the tokens of text ``output`` of this lane, from 0.

    ``texts`` are the texts that the columns show, the first where none is given. ``reference`` is
    the lane that all others are compared with; None compares each with the one before it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    run: str = Field(max_length=LONGEST)
    lane: int = Field(ge=0, lt=len(LETTERS))
    step: int = Field(ge=0)
    output: int = Field(0, ge=0)
    texts: list[Annotated[int, Field(ge=0)]] = Field(default_factory=list, max_length=len(LETTERS))
    reference: int | None = Field(None, ge=0, lt=len(LETTERS))

    def shown(self, lanes: int) -> list[int]:
        """The text that each lane's column shows; ``output`` for the selected lane."""
        texts = [*self.texts, *[0] * lanes][:lanes]
        texts[self.lane] = self.output
        return texts


@dataclass(frozen=True)
class InspectorView:
    """The selected step of a text, or none where nothing was generated yet.

    In ``comparison`` the text that a lane's column shows is the first of its lane; ``whole`` is the
    run as it was kept.
    """

    comparison: Comparison
    selection: Selection
    path: list[StepRecord]
    whole: Comparison

    @property
    def trace(self) -> Trace:
        return self.comparison.lanes[self.selection.lane].trace

    @property
    def step(self) -> StepRecord | None:
        return self.path[self.selection.step] if self.path else None

    @property
    def marked(self) -> tuple[int, int]:
        """The (lane, step) that charts of all lanes mark."""
        return self.selection.lane, self.selection.step


@dataclass(frozen=True)
class InspectorState:
    """What the inspector is asked for: which token, as ``Selection`` reads it, and drawn how.

    ``tab`` is the visible one, ``stage`` the one whose bars are shown, ``side`` says of whom the
    steps' values are, and ``texts`` which texts the table is to hold.
    """

    selection: Any
    tab: str = "distribution"
    stage: str | None = "final"
    side: str = "model"
    texts: str = "shown"

    def changed(self, **change: Any) -> InspectorState:
        """The same with this changed in the selection, if anything is selected."""
        if self.selection is None:
            return self
        return replace(self, selection={**self.selection, **change})


def opening(comparison: Comparison) -> dict[str, Any]:
    """The first selection after a run: where the second column parts from the first."""
    sides = [
        Side.of(letter, lane.trace)
        for letter, lane in zip(LETTERS[:2], comparison.lanes, strict=False)
    ]
    lane = 1 if len(sides) > 1 and sides[1].path else 0
    apart = parting(*sides) if lane else None
    step = apart.index if apart and apart.index is not None else 0
    return {"run": comparison.id, "lane": lane, "step": step, "output": 0}


def caption(view: InspectorView | None) -> dict[str, Any]:
    """The line that says which token the charts are about."""
    if view is None:
        return {"title": NO_RUN, "facts": NOTHING_RAN, "letter": ""}
    lane = view.selection.lane
    head = {"letter": LETTERS[lane], "colour": COLOURS[lane], "ink": INKS[lane]}
    step = view.step
    if step is None:
        failed = view.comparison.lanes[lane].error
        asked = view.trace.offer is not None
        told = "Choose the first one in the column." if asked else "This column wrote nothing."
        return {**head, "title": "no token yet", "facts": failed or told}
    texts = len(view.trace.outputs)
    which = f"text {view.selection.output + 1} of {texts} · " if texts > 1 else ""
    facts = f"{which}id {step.token:,} · the model gave it {charts.percent(step.raw_probability)} %"
    if view.trace.stages:
        facts += f", the recipe {charts.percent(step.probability)} %"
    facts += f" · entropy {step.raw_entropy:.2f}"
    if view.trace.stages:
        facts += f" → {step.entropy:.2f}"
    return {
        **head,
        "title": f"token {step.index + 1}: {charts.quoted(charts.piece(step))}",
        "facts": f"{facts} nats · {_search(view.trace)}",
        "mark": view.selection.model_dump(),
    }


def _search(trace: Trace) -> str:
    """The search's label, without the list of tokens that a person picked."""
    return trace.chain.search.strategy if trace.chain.asks else trace.chain.search.label


def columns(view: InspectorView | None) -> dict[str, Any]:
    """Choices of the column control."""
    lanes = range(len(view.comparison.lanes)) if view else ()
    return {
        "choices": [(_called(view, lane), lane) for lane in lanes],
        "value": view.selection.lane if view else None,
        "visible": len(lanes) > 1,
    }


def _called(view: InspectorView | None, lane: int) -> str:
    name = view.comparison.lanes[lane].name if view else ""
    return f"{LETTERS[lane]} {name}".strip()


def tokens(view: InspectorView | None) -> dict[str, Any] | None:
    """The number of the token, from 1, and the number of tokens."""
    if view is None:
        return None
    return {"token": view.selection.step + 1, "most": len(view.path)}


def stages(view: InspectorView | None, asked: str | None) -> dict[str, Any]:
    """Choices of the stage control: the model, each stage by its index, the last as ``final``."""
    names = [step.label for step in view.trace.chain.processors] if view else []
    values = ["-1", *map(str, range(len(names)))]
    values[-1] = "final"
    return {
        "choices": list(zip(["model alone", *names], values, strict=True)),
        "value": asked if asked in values else "final",
        "visible": bool(names),
    }


def stage_of(view: InspectorView, asked: str | None) -> int:
    """The stage that a value of the stage control means for this lane."""
    value = stages(view, asked)["value"]
    return len(view.trace.stages) - 1 if value == "final" else int(value)


def distribution(view: InspectorView, asked: str | None) -> dict[str, Any]:
    step, trace, lane = view.path[view.selection.step], view.trace, view.selection.lane
    stage = stage_of(view, asked)
    colour = COLOURS[lane]
    told = charts.about_distribution(step, trace, NAMES[lane], stage)
    bars = rows.candidates(step, trace, colour, stage, told)
    stages = rows.stages(step, trace, colour, stage, charts.about_stages(step, trace))
    each = saved("distribution", view.marked, tables.candidates(trace, step))
    whole = saved("stages", view.marked, tables.stages(trace, step))
    fork = None
    if step.candidates.ids and view.comparison.lanes[lane].finish_reason is not None:
        place = view.selection.model_dump(include={"run", "lane", "output", "step"})
        fork = place | {"recipe": view.comparison.lanes[lane].recipe}
    return {"bars": bars | {"table": each, "fork": fork}, "stages": stages | {"table": whole}}


def texts(view: InspectorView | None, asked: str) -> dict[str, Any]:
    """The choice of texts for the table and the CSV, visible where a column has several."""
    several = view is not None and any(len(x.trace.outputs) > 1 for x in view.whole.lanes)
    return {"value": asked, "visible": several}
