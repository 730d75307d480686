"""The value of the element ``ribbon``: a bar for every token of every column, on one scale."""

from __future__ import annotations

from functools import cache, partial
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from playground import charts
from playground.colours import COLOURS, INKS, LETTERS
from playground.trace import Comparison, StepRecord
from playground.ui.inspector_view import NO_RUN_ADVICE, InspectorView
from playground.ui.views import LONGEST

LONGEST_TOKEN = 24
SIDES = {"model": "the model", "recipe": "the recipe"}


class FiguresRequest(BaseModel):
    """The texts of a run that its columns show."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: Annotated[str, Field(max_length=LONGEST)]
    texts: list[Annotated[int, Field(ge=0)]] = Field(default_factory=list, max_length=len(LETTERS))


def view(shown: InspectorView, side: str) -> dict[str, Any]:
    """Which texts are drawn, with whose figures, and the token that is marked."""
    lanes = shown.comparison.lanes
    return {
        "run": shown.selection.run,
        "texts": shown.selection.shown(len(lanes)),
        "lanes": [
            {"letter": LETTERS[at], "colour": COLOURS[at], "ink": INKS[at], "name": lane.name}
            for at, lane in enumerate(lanes)
        ],
        "after": side == "recipe",
        "of": SIDES.get(side, SIDES["model"]),
        "marked": list(shown.marked),
    }


def answer(comparison: Comparison | None, asked: FiguresRequest) -> dict[str, Any]:
    """Of every token [text, log-probability, rank, entropy], the last three twice.

    First the model's own, then those after the recipe; in nats. By column.
    """
    if comparison is None:
        return {"fault": NO_RUN_ADVICE}
    lanes = []
    visible = cache(partial(charts.visible, limit=LONGEST_TOKEN))
    for number, lane in enumerate(comparison.lanes):
        text = asked.texts[number] if number < len(asked.texts) else 0
        text = text if text < len(lane.trace.outputs) else 0
        lanes.append([_figures(step, visible(step.piece)) for step in lane.trace.path(text)])
    return {"lanes": lanes}


def _figures(step: StepRecord, text: str) -> list[Any]:
    return [
        text,
        _short(step.raw_logprob),
        step.raw_rank,
        _short(step.raw_entropy),
        _short(step.logprob),
        step.rank,
        _short(step.entropy),
    ]


def _short(value: float) -> float:
    return float(f"{value:.5g}")
