"""All texts of the columns, and those kept beside them, as one tree: the value that it is drawn of.

The element ``tree`` asks for it once it is seen; a click in it never has to wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from playground.charts import piece
from playground.charts.text import count
from playground.colours import COLOURS, INKS, LETTERS
from playground.explain.branching import Stretch, stretches
from playground.trace import LaneResult, StepRecord
from playground.ui.strip import REASONS
from strategies.notation import shorten
from strategies.presets import PRESETS

READ = (
    "From left to right: what texts share is drawn once, and divides where they part. A click on "
    "a line looks into that token; arrow keys walk, Enter looks."
)
NOTHING = "Nothing was written yet. Press Run."


@dataclass(frozen=True)
class Leaf:
    """One text: that of an ``output`` of a lane, which ``column`` shows, or none at present.

    ``source`` names the lane in its own run, as ``RUN/LANE``.
    """

    source: str
    output: int
    result: LaneResult
    column: int | None

    @property
    def path(self) -> list[StepRecord]:
        return self.result.trace.path(self.output)


def leaves(source: str, result: LaneResult, column: int | None) -> list[Leaf]:
    """The texts of one lane."""
    return [Leaf(source, at, result, column) for at in range(len(result.trace.outputs))]


def drawn(texts: Sequence[Leaf]) -> dict[str, Any]:
    """The whole tree: its texts, and their stretches with every token."""
    paths = [leaf.path for leaf in texts]
    found = stretches(paths)
    return {
        "sentence": f"{_about(texts, found)} {READ}" if found else NOTHING,
        "texts": [_text(leaf, len(path)) for leaf, path in zip(texts, paths, strict=True)],
        "stretches": [_stretch(one) for one in found],
        "running": any(leaf.result.finish_reason is None for leaf in texts),
    }


def _about(texts: Sequence[Leaf], found: Sequence[Stretch]) -> str:
    """How many texts there are, and what all of them share."""
    many = count(len(texts), "text")
    roots = [one for one in found if one.parent is None]
    if len(texts) == 1:
        return f"{many}; run a second column, or continue from a candidate, and they are compared."
    if len(roots) == 1 and len(roots[0].texts) == len(texts):
        shared = count(len(roots[0].steps), "token")
        return f"{many}; all share the first {shared}."
    widest = max(roots, key=lambda one: len(one.texts))
    if len(widest.texts) == 1:
        return f"{many}; no two begin alike."
    return (
        f"{many}; of those {len(widest.texts)} begin alike, with "
        f"{count(len(widest.steps), 'token')} in common."
    )


def _text(leaf: Leaf, tokens: int) -> dict[str, Any]:
    result, at = leaf.result, leaf.column
    output = result.trace.outputs[leaf.output]
    reason = output.finish_reason
    forked = result.forked
    return {
        "source": leaf.source,
        "output": leaf.output,
        "of": len(result.trace.outputs),
        "sample": output.sample,
        "column": at,
        "letter": "" if at is None else LETTERS[at],
        "colour": "" if at is None else COLOURS[at],
        "ink": "" if at is None else INKS[at],
        "name": result.name,
        "recipe": result.recipe,
        "label": result.name or _title(result.recipe),
        "tokens": tokens,
        "text": output.text,
        "ended": REASONS[reason] if reason else "being written",
        "forked": None if forked is None else f"{forked.run}/{forked.lane}",
    }


def _title(written: str) -> str:
    """The name of the preset that a recipe is, or the recipe."""
    found = (preset.title for preset in PRESETS if str(preset.recipe) == written)
    return next(found, shorten(written, 48))


def _stretch(one: Stretch) -> dict[str, Any]:
    return {
        "parent": one.parent,
        "first": one.first,
        "texts": one.texts,
        "ends": one.ends,
        "words": [piece(step) for step in one.steps],
        "raw": [float(f"{step.raw_probability:.4g}") for step in one.steps],
    }
