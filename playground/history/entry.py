"""What a list tells of something that was kept, without reading it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from playground.trace import Comparison

PROMPT = 400  # characters of a prompt, and of a text, that a list has
TEXT = 160
SEARCHED = 20_000  # characters that are searched


class Entry(BaseModel):
    """A line of the list. ``kind`` is run or experiment; ``created`` is in seconds since 1970.

    ``source`` is what the page or the program calls it, such as the id of a run.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = ""
    kind: str = "run"
    source: str
    created: float = 0.0
    pinned: bool = False
    nbytes: int = 0
    model: str = ""
    prompt: str = ""
    seed: int | None = None
    columns: list[dict[str, Any]] = []  # name, recipe, text: one for each column
    verdict: str = ""  # what an experiment tells first
    words: str = ""  # what is searched

    @property
    def told(self) -> dict[str, Any]:
        """What the list's index holds of it, beside its place in the file."""
        return self.model_dump(include={"model", "prompt", "seed", "columns", "verdict"})


def of_run(run: Comparison) -> Entry:
    """The entry of a run of the page."""
    columns = [
        {"name": lane.name, "recipe": lane.recipe, "text": lane.text[:TEXT]} for lane in run.lanes
    ]
    return Entry(
        source=run.id,
        model=run.model.title,
        prompt=run.prompt[:PROMPT],
        seed=run.seed,
        columns=columns,
        words=searched(
            [run.prompt, run.model.title, run.model.id]
            + [part for lane in run.lanes for part in (lane.name, lane.recipe, lane.text)]
        ),
    )


def same_texts(one: Entry, other: Entry) -> bool:
    """Whether two entries of one source tell of the same texts, whatever their columns' names."""
    return _nameless(one) == _nameless(other)


def _nameless(entry: Entry) -> dict[str, Any]:
    columns = [{**one, "name": ""} for one in entry.columns]
    return {**entry.told, "columns": columns}


def run_of(entry: Entry, content: str) -> Comparison:
    """The run that was kept, its columns named as they were last; ``ValueError`` for no run."""
    run = Comparison.from_json(content)
    names = [str(one.get("name") or "") for one in entry.columns]
    if len(names) != len(run.lanes):
        return run
    lanes = [
        lane.model_copy(update={"name": name}) for lane, name in zip(run.lanes, names, strict=True)
    ]
    return run.model_copy(update={"lanes": lanes})


def searched(parts: Sequence[str]) -> str:
    """Texts as they are searched: one below the other, whatever their case."""
    return "\n".join(parts)[:SEARCHED].casefold()
