"""The value of the element ``walk``: a text's choices one by one, as large as the window."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from playground import charts
from playground.colours import COLOURS, INKS, LETTERS
from playground.explain.moments import Candidate, choice
from playground.trace import Comparison
from playground.ui.inspector_view import NO_RUN_ADVICE, InspectorView
from playground.ui.views import LONGEST

AT_ONCE = 24  # choices that are sent together
PROMPT = 160  # characters of the prompt's end that are shown


class ChoicesRequest(BaseModel):
    """Choices of a text, from ``first`` on."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: Annotated[str, Field(max_length=LONGEST)]
    lane: int = Field(ge=0, lt=len(LETTERS))
    output: int = Field(0, ge=0)
    first: int = Field(0, ge=0)


def view(shown: InspectorView) -> dict[str, Any]:
    """The text that is walked, and the token that it begins at."""
    selection = shown.selection
    return {
        "run": selection.run,
        "lane": selection.lane,
        "output": selection.output,
        "step": selection.step,
        "letter": LETTERS[selection.lane],
        "colour": COLOURS[selection.lane],
        "ink": INKS[selection.lane],
        "name": shown.comparison.lanes[selection.lane].name,
        "most": len(shown.path),
    }


def answer(comparison: Comparison | None, asked: ChoicesRequest) -> dict[str, Any]:
    """Some choices, and the whole text in tokens; ``fault`` where it is not kept."""
    if comparison is None or asked.lane >= len(comparison.lanes):
        return {"fault": NO_RUN_ADVICE}
    trace = comparison.lanes[asked.lane].trace
    path = trace.path(asked.output)
    last = min(len(path), asked.first + AT_ONCE)
    return {
        "prompt": comparison.prompt[-PROMPT:],
        "texts": [step.text for step in path],
        "first": asked.first,
        "choices": [
            _choice(comparison, asked.lane, asked.output, at) for at in range(asked.first, last)
        ],
    }


def _choice(comparison: Comparison, lane: int, sample: int, at: int) -> dict[str, Any]:
    found = choice(comparison, lane, sample, at)
    moments = [
        {
            "label": one.label,
            "left": one.left,
            "entropy": round(one.entropy, 3),
            "told": one.sentence,
        }
        for one in found.moments
    ]
    return {
        "token": charts.quoted(found.step.piece),
        "special": found.step.special,
        "search": found.search,
        "told": found.sentence,
        "drawn": found.drawn,
        "moments": moments,
        "rows": [_row(one) for one in found.candidates],
    }


def _row(one: Candidate) -> dict[str, Any]:
    row: dict[str, Any] = {
        "label": one.text if one.token is None else charts.visible(one.text, 18),
        "id": one.token,
        "chosen": one.chosen,
        "levels": [float(f"{p:.6g}") for p in one.probabilities],
        "told": [f"{charts.percent(p)} %" for p in one.probabilities],
        "removed": one.removed,
    }
    if one.logprob is not None and one.noise is not None:
        row |= {"logprob": round(one.logprob, 4), "noise": round(one.noise, 4)}
    if one.score is not None:
        row |= {"score": round(one.score, 4), "taken": one.taken}
    return row
