"""A recorded run, part of the package, which a page shows before its first Run.

``python -m playground.ui.recorded`` records it anew, of the built-in model, with today's engine.
"""

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
    """The set-up of a recorded run, so that Run repeats it."""
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
    """The date of a recorded run, and its number format, on which the last bits depend."""
    made = datetime.fromisoformat(run.created)
    return (
        f"{run.model.title} wrote this on {made.day} {made:%B %Y} in {run.model.dtype}. "
        "This machine may round otherwise."
    )


def record() -> None:
    """Run again what was recorded, and keep it in its place, as a server does that is warm."""
    from playground.playground import Playground

    old = recorded()
    playground = Playground(dtype=old.model.dtype, device=old.model.device)
    playground.engine.join_tracing()
    recipes = [lane.recipe for lane in old.lanes]
    playground.compare(old.prompt, recipes, max_new_tokens=8)
    playground.engine.prompts.clear()
    made = playground.compare(
        old.prompt,
        recipes,
        max_new_tokens=old.max_new_tokens,
        min_new_tokens=old.min_new_tokens,
        seed=old.seed,
        stop=old.stop,
        chat=old.chat,
    )
    FILE.write_text(made.to_json(), encoding="utf-8")


if __name__ == "__main__":
    record()
