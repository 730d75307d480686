"""The tokens of a run as a table; the element ``data_table`` has the rows that are in sight."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from playground import charts
from playground.colours import LETTERS
from playground.trace import Comparison
from playground.trace.frame import COLUMNS, Place, places, row
from playground.ui.inspector_view import NO_RUN_ADVICE, InspectorView
from playground.ui.views import LONGEST

BLOCK = 60  # rows that are sent together
DIGITS = 3  # behind the point
LEFT_OUT = {"recipe", "text", "raw_logprob", "logprob", "score", "forward_rows"}

Samples = Literal["all"] | list[Annotated[int, Field(ge=0)]]


class RowsRequest(BaseModel):
    """A block of the rows of a run's texts, from ``first`` on, in the order of the column ``by``.

    The texts are ``samples`` as ``Comparison.frame`` takes them. Without ``by`` the rows are in the
    order of columns, texts and tokens, and so are those that are equal in it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: Annotated[str, Field(max_length=LONGEST)]
    samples: Samples
    by: Annotated[str, Field(max_length=LONGEST)] = ""
    falling: bool = False
    first: int = Field(0, ge=0)


def view(shown: InspectorView, samples: Samples) -> dict[str, Any]:
    """The table of these texts, with the block of rows around the selected token."""
    lanes, at = shown.whole.lanes, shown.selection
    every = places(lanes, samples)
    token = at.lane, at.output, at.step
    found = (n for n, p in enumerate(every) if (p.lane, p.output, p.step.index) == token)
    selected = next(found, 0)
    first = max(0, min(selected - BLOCK // 2, len(every) - BLOCK))
    return {
        "run": at.run,
        "samples": samples,
        # Where this changes, rows that were sent before are no longer these.
        "key": [at.run, samples, [[lane.name, len(lane.trace.steps)] for lane in lanes]],
        "columns": columns(shown.whole),
        "total": len(every),
        "selected": selected,
        "marked": [LETTERS[at.lane], at.output + 1, at.step + 1],
        "first": first,
        "rows": rows(shown.whole, every[first : first + BLOCK]),
    }


def answer(comparison: Comparison | None, asked: RowsRequest) -> dict[str, Any]:
    """``rows``, a block of them as lists of values."""
    if comparison is None:
        return {"fault": NO_RUN_ADVICE}
    every = places(comparison.lanes, asked.samples)
    if asked.by in columns(comparison):
        keys = [row(comparison.lanes, place)[asked.by] for place in every]
        order = sorted(range(len(every)), key=keys.__getitem__, reverse=asked.falling)
        every = [every[at] for at in order]
    return {"rows": rows(comparison, every[asked.first : asked.first + BLOCK])}


def columns(run: Comparison) -> list[str]:
    """The names of the table's columns."""
    named = any(lane.name for lane in run.lanes)
    return [name for name in COLUMNS if name not in LEFT_OUT and (named or name != "name")]


def rows(run: Comparison, those: list[Place]) -> list[list[Any]]:
    """The values of these tokens, by row and column."""
    names, found = columns(run), (row(run.lanes, place) for place in those)
    return [[_shown(name, values[name]) for name in names] for values in found]


def _shown(column: str, value: Any) -> Any:
    if column == "token":
        return charts.visible(value)
    return round(value, DIGITS) if isinstance(value, float) else value
