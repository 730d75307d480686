"""A real run, kept with the page, so that nobody meets an empty one."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path

from playground.trace import Comparison
from playground.ui.links import Setup

FILE = Path(__file__).parent / "recorded.json"
ID = "recorded"


@cache
def recorded() -> Comparison:
    """The recorded comparison, under an id of its own."""
    return Comparison.from_json(FILE.read_bytes()).model_copy(update={"id": ID})


def setup(run: Comparison) -> Setup:
    """What was set up when it was recorded, so that Run repeats it."""
    return Setup(
        prompt=run.prompt,
        recipes=tuple(lane.recipe for lane in run.lanes),
        tokens=str(run.max_new_tokens),
        least=str(run.min_new_tokens),
        seed=str(run.seed),
        stop="\n".join(run.stop),
        chat=run.chat,
        split=run.split_special_tokens,
    )


def label(run: Comparison) -> str:
    """When it was recorded and in which number format, which decides the last bits of a score."""
    made = datetime.fromisoformat(run.created)
    return (
        f"{run.model.title} wrote this on {made.day} {made:%B %Y} in {run.model.dtype}. "
        "This machine may round otherwise."
    )
