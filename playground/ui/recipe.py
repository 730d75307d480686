"""A column's recipe as the value of its element, and back; all that the page sends is validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from secrets import token_hex
from typing import Any

from pydantic import ValidationError

from playground.charts.text import count
from playground.colours import COLOURS, INKS, LETTERS
from strategies import notation
from strategies.notation import quote, write
from strategies.presets import GROUPS, OWN, PRESETS
from strategies.recipe import MOST_STEPS, Recipe, RecipeError
from strategies.registry import registry

Steps = list[dict[str, Any]]

LONGEST_NAME = 40  # characters of a column's name
LONGEST_KEY = 32
PICKS = "picks"  # the parameter that holds a person's choices, shown as their number


@cache
def constants(refused: tuple[tuple[str, str], ...] = ()) -> Mapping[str, Any]:
    """The constants of every column's element: the presets, and all strategies.

    Broken plugins are listed with their error, and those that what serves the models ``refused``,
    by their ids, with its reason.
    """
    reasons = dict(refused)
    known = [
        {"id": id, "kind": s.kind, "summary": s.info.summary, "broken": reasons.get(id)}
        for id, s in registry().strategies.items()
    ]
    broken = [
        {"id": plugin.name, "kind": "processor", "summary": "", "broken": plugin.error}
        for plugin in registry().broken
    ]
    presets = [
        {
            "id": p.id,
            "title": f"{p.title} ({p.date})" if p.date and p.group != "ideas" else p.title,
            "summary": f"{p.summary}\n{p.origin}",
            "origin": p.origin if p.date and p.group != "ideas" else "",
            "group": p.group,
        }
        for p in PRESETS
    ]
    own = "What generate does with this model when it is told nothing.\nIts generation_config"
    presets.append(
        {"id": OWN, "title": "Its own settings", "summary": own, "origin": "", "group": OWN}
    )
    groups = [{"id": id, "title": title} for id, title in GROUPS.items()]
    return {"strategies": known + broken, "presets": presets, "groups": groups}


def read(value: Any) -> Steps:
    """The steps in a value from the page, as plain data; ``RecipeError`` for anything else."""
    steps = value.get("steps") if isinstance(value, dict) else None
    if not isinstance(steps, list) or len(steps) > MOST_STEPS:
        raise RecipeError(f"A recipe is a list of at most {MOST_STEPS} steps.")
    plain = []
    for step in steps:
        params = step.get("params") if isinstance(step, dict) else None
        if not isinstance(params, dict) or not isinstance(step.get("strategy"), str):
            raise RecipeError("A step names its strategy and its parameters.")
        plain.append(
            {
                "strategy": step["strategy"],
                "params": params,
                "enabled": bool(step.get("enabled", True)),
            }
        )
    return plain


def steps_of(text: str) -> Steps:
    """The steps of a written recipe; ``RecipeError`` where its form is wrong.

    Settings are not validated here: one out of its bounds is shown in its step, in red.
    """
    try:
        return Recipe.of(text).to_steps()
    except RecipeError:
        return [_shown(call) for call in notation.read(text)]


def _shown(call: notation.Call) -> dict[str, Any]:
    plugin = registry().get(call.strategy)
    first = list(plugin.Params.model_fields)[:1]
    if len(call.values) > len(first):
        raise RecipeError(f"{call.strategy} has more values than it has room for.")
    params = {**dict(zip(first, call.values, strict=False)), **call.named}
    return {"strategy": call.strategy, "params": params, "enabled": call.enabled}


def name_of(value: Any) -> str:
    """The name of a column in a value from the page; empty where it has none."""
    name = value.get("name") if isinstance(value, dict) else None
    return " ".join(name.split())[:LONGEST_NAME] if isinstance(name, str) else ""


def key_of(value: Any) -> str:
    """The key of a column in a value from the page, else a new one; it stays when columns move."""
    key = value.get("key") if isinstance(value, dict) else None
    return key if isinstance(key, str) and 0 < len(key) <= LONGEST_KEY else token_hex(4)


@dataclass(frozen=True)
class ColumnState:
    """A column's set-up.

    ``opened`` is the step whose controls are on the page. ``preset`` is the chosen preset; with
    None it is the one that has these steps, if any. ``key`` stays when columns move.
    """

    steps: Steps
    name: str = ""
    opened: int | None = None
    preset: str | None = None
    key: str = field(default_factory=lambda: key_of(None))

    @classmethod
    def read(cls, value: Any) -> ColumnState:
        """The set-up in a value from the page; ``RecipeError`` where it has no list of steps."""
        steps = read(value)
        return cls(steps, name_of(value), _within(value.get("open"), steps), key=key_of(value))


def still_open(before: Any, steps: Steps) -> int | None:
    """The index of the step open in the value ``before``, if ``steps`` has its strategy there."""
    at = before.get("open") if isinstance(before, dict) else None
    if not isinstance(at, int) or not 0 <= at < min(len(steps), len(before["steps"])):
        return None
    return at if steps[at]["strategy"] == before["steps"][at].get("strategy") else None


def view(index: int, column: ColumnState, columns: int, most: int) -> dict[str, Any]:
    """The element's value for this column, also where its steps make no valid recipe."""
    steps = column.steps
    try:
        written, fault, error = str(Recipe.from_steps(steps)), None, None
    except RecipeError as problem:
        fault, error = problem.step, str(problem)
        written = " | ".join(
            write(step["strategy"], (), step["params"], step["enabled"]) for step in steps
        )
    known = next((p.id for p in PRESETS if written == str(p.recipe)), None)
    return {
        "key": column.key,
        "letter": LETTERS[index],
        "colour": COLOURS[index],
        "ink": INKS[index],
        "preset": column.preset or known,
        "name": name_of({"name": column.name}),
        "open": _within(column.opened, steps),
        "only": columns < 2,
        "full": columns >= most,
        "written": written,
        "error": error,
        "steps": [_step(step, i == fault) for i, step in enumerate(steps)],
    }


def _within(at: Any, steps: Steps) -> int | None:
    return at if isinstance(at, int) and 0 <= at < len(steps) else None


def _step(step: dict[str, Any], fault: bool) -> dict[str, Any]:
    strategy = registry().strategies.get(step["strategy"])
    if strategy is None:
        return step | {
            "kind": "processor", "value": "", "neutral": False, "fault": True,
            "summary": "No strategy of this name is installed.",
        }  # fmt: skip
    try:
        params = strategy.Params(**step["params"])
        values = params.model_dump()
        neutral = strategy.is_neutral(params)
    except ValidationError:
        values, neutral, fault = step["params"], False, True
    defaults = {name: field.default for name, field in strategy.Params.model_fields.items()}
    first = next(iter(defaults), None)
    shown = []
    for name, value in values.items():
        if name == first and (strategy.kind == "processor" or value != defaults[name]):
            shown.append(_value(value, name))
        elif name != first and value != defaults.get(name):
            shown.append(f"{name} {_value(value, name)}")
    return step | {
        "kind": strategy.kind,
        "value": " ".join(shown),
        "neutral": neutral,
        "fault": fault,
        "summary": strategy.info.summary,
    }


def _value(value: Any, name: str) -> str:
    if isinstance(value, list | tuple | dict):
        return count(len(value), "pick") if name == PICKS else quote(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
