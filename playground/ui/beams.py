"""The value of the element ``beams``: all rows of a column's search over the steps.

The tree itself is asked for by the element, once for a finished run, and again while one is being
written: each time only what is new of it is sent.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from playground import charts
from playground.charts.text import count
from playground.colours import COLOURS, LETTERS
from playground.explain.beams import CUT_OFF, beams
from playground.trace import Comparison, Trace
from playground.trace.beams import BeamTree
from playground.ui.inspector_view import NO_RUN_ADVICE, InspectorView
from playground.ui.strip import REASONS
from playground.ui.views import LONGEST

FATES = {"continued": "c", "ended": "e", "pruned": "p", "running": "r"}


class BeamsRequest(BaseModel):
    """A lane of a run, and how much of its tree is known: so many beams and passed ones."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: Annotated[str, Field(max_length=LONGEST)]
    lane: int = Field(ge=0, lt=len(LETTERS))
    beams: int = Field(0, ge=0)
    passed: int = Field(0, ge=0)


def view(shown: InspectorView) -> dict[str, Any]:
    """Which tree the element asks for, and the token that is selected in it."""
    selection = shown.selection
    nodes = shown.trace.outputs[0].nodes if shown.trace.outputs else []
    return {
        "run": selection.run,
        "lane": selection.lane,
        "output": selection.output,
        "letter": LETTERS[selection.lane],
        "colour": COLOURS[selection.lane],
        "node": nodes[selection.step] if selection.step < len(nodes) else None,
        "others": _others(shown.whole, selection.lane),
    }


def answer(comparison: Comparison | None, asked: BeamsRequest) -> dict[str, Any]:
    """What the element does not know yet of a tree, in short rows; ``fault`` where there is none.

    ``beams`` are [parent, index, id, text, log-probability, score, weight, group], ``passed`` the
    first four and the score, ``texts`` [last beam, score, weight, why it ended], the shown one
    first. ``fates`` has a letter for each beam, the known ones too.
    """
    if comparison is None or asked.lane >= len(comparison.lanes):
        return {"fault": NO_RUN_ADVICE}
    tree = beams(comparison, asked.lane)
    visible = cache(charts.visible)  # the same tokens come again and again
    shorter = asked.beams > len(tree.beams) or asked.passed > len(tree.passed)
    first, passed = (0, 0) if shorter else (asked.beams, asked.passed)
    return {
        "sentence": sentence(tree),
        "rows": tree.rows,
        "positions": tree.positions,
        "weighs_by": tree.weighs_by if tree.weighs_by != "score" else "",
        "note": _note(tree, comparison.lanes[asked.lane].trace),
        "first": first,
        "beams": [
            [
                one.parent,
                one.index,
                one.token,
                visible(one.text),
                _short(one.logprob),
                _short(one.score),
                None if one.weight is None else _short(one.weight),
                one.group,
            ]
            for one in tree.beams[first:]
        ],
        "fates": "".join(FATES[one.fate] for one in tree.beams),
        "first_passed": passed,
        "passed": [
            [one.parent, one.index, one.token, visible(one.text), _short(one.score)]
            for one in tree.passed[passed:]
        ],
        "texts": [
            [
                text.node,
                _short(text.score),
                None if text.weight is None else _short(text.weight),
                REASONS.get(text.finish_reason or "", ""),
            ]
            for text in tree.texts
        ],
        "going": comparison.lanes[asked.lane].finish_reason in CUT_OFF[:2],
    }


def sentence(tree: BeamTree) -> str:
    """How to read the picture of this very tree."""
    back = sum(one.fate == "pruned" for one in tree.beams)
    if tree.rows < 2 and back:
        times = count(back, "time")
        return (
            f"This column keeps one text at a time, and took tokens back {times}: lines that stop."
        )
    if tree.rows < 2:
        return "This column keeps one text at a time, so its tree is a single line."
    stops = "a line that stops was given up, " if back or tree.passed else ""
    groups = {one.group for one in tree.beams if one.group is not None}
    rows = f"the {tree.rows} beginnings with the highest scores at that point"
    if len(groups) > 1:
        rows = (
            f"{len(groups)} groups of beams with the highest scores of each at that point, every "
            "group kept off the tokens of those above it"
        )
    read = (
        f"From left to right the tokens, from top to bottom {rows}. The thick line is the text "
        f"that is shown, {stops}a square ends a text."
    )
    path = [one for one in tree.beams if one.best]
    lowest = max(path, key=lambda one: one.place, default=None)
    if lowest is None:
        return read
    if lowest.place == 1:
        return f"{read} It had the highest score at every token."
    beside = sum(one.index == lowest.index for one in tree.beams)
    stood = f"at token {lowest.index + 1}: number {lowest.place} of {beside}"
    return f"{read} The shown text stood lowest {stood}."


def _note(tree: BeamTree, trace: Trace) -> str:
    if tree.recorded or trace.beams is None or not tree.beams:
        return ""
    return "It was saved before continuations that were passed over were recorded."


def _others(comparison: Comparison, lane: int) -> str:
    """Which other columns keep several texts at once, where this one does not."""

    def several(number: int) -> bool:
        trace = comparison.lanes[number].trace
        return trace.beams is not None or len(trace.outputs) > 1

    if several(lane):
        return ""
    found = [LETTERS[n] for n in range(len(comparison.lanes)) if n != lane and several(n)]
    if not found:
        return "No column of this run keeps several texts at once; a beam search does."
    return f"{count(len(found), 'other column')} of this run: {', '.join(found)}."


def _short(value: float) -> float:
    return float(f"{value:.6g}")
