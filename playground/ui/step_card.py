"""The drawing on a step's card: the next token's distribution around the step, and its cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from playground.charts import visible
from playground.explain.passage import Cut, Passage, passages
from playground.explain.words import percent
from playground.trace import StepRecord, Trace
from strategies.recipe import Recipe

POINTS = 24  # likeliest candidates of a curve
LONGEST = 12  # characters of a token's text


def cards(step: StepRecord, trace: Trace, recipe: Recipe, hidden: int) -> dict[str, dict[str, Any]]:
    """A drawing for each step of the recipe that runs, by its number as a person sees it.

    ``hidden`` steps stand before the first that they see. ``given`` and ``left`` are probabilities
    in the order of what the step was given; a line of ``lines`` is at a probability ``y``, or
    behind the rank ``x``.
    """
    running = [n for n, one in enumerate(recipe.steps[:-1]) if one.enabled]
    drawn = {
        str(at - hidden): _card(step, one)
        for at, one in zip(running, passages(trace, step), strict=True)
        if at >= hidden
    }
    drawn[str(len(recipe.steps) - 1 - hidden)] = _choice(step)
    return drawn


def _card(step: StepRecord, one: Passage) -> dict[str, Any]:
    order = _falling(one.given)
    cut = one.cut if one.effect.removed else None
    return {
        "given": [_rounded(one.given[at]) for at in order],
        "left": [_rounded(one.left[at]) for at in order],
        "texts": _texts(step, order),
        "lines": [] if cut is None else _lines(cut, [one.left[at] > 0 for at in order]),
        "told": one.sentence,
    }


def _choice(step: StepRecord) -> dict[str, Any]:
    """What the search is given, of which it takes or draws one."""
    final = step.candidates.final
    order = _falling(final)
    chosen = step.candidates.ids.index(step.token)
    given = [_rounded(final[at]) for at in order]
    left = [p if at == chosen else 0.0 for p, at in zip(given, order, strict=True)]
    name = visible(step.candidates.texts[chosen], LONGEST)
    return {
        "given": given,
        "left": left,
        "texts": _texts(step, order),
        "lines": [],
        "told": f"what is left to choose from; next it would be “{name}”",
    }


def _falling(given: Sequence[float]) -> list[int]:
    order = sorted(range(len(given)), key=lambda at: -given[at])
    return [at for at in order if given[at] > 0][:POINTS]


def _texts(step: StepRecord, order: Sequence[int]) -> list[str]:
    return [visible(step.candidates.texts[at], LONGEST) for at in order]


def _lines(cut: Cut, kept: Sequence[bool]) -> list[dict[str, Any]]:
    """Where the step cut: at a probability, or between two ranks."""
    if cut.keeps_by in ("rank", "mass"):
        last = max((at for at, stays in enumerate(kept) if stays), default=-1) + 1
        rank = int(cut.threshold) if cut.keeps_by == "rank" else last
        if not 0 < rank < len(kept):
            return []
        label = f"rank {rank}" if cut.keeps_by == "rank" else percent(cut.threshold, 3)
        return [{"x": rank, "label": label}]
    edges = [cut.least, cut.most] if cut.keeps_by == "typicality" else [cut.least]
    return [
        {"y": _rounded(edge), "label": percent(edge, 3)}
        for edge in edges
        if edge is not None and math.isfinite(edge)
    ]


def _rounded(probability: float) -> float:
    return float(f"{probability:.4g}")
