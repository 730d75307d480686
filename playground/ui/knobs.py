"""The numbers that a recipe sets, as knobs; and in words, what turning one would change."""

from __future__ import annotations

from collections import Counter
from typing import Any

from playground.charts import piece, quoted
from playground.charts.text import count
from playground.colours import COLOURS, LETTERS
from playground.explain.replay import RecordedText
from playground.trace.changes import SettingSlack, WhatIf
from playground.ui.inspector_view import InspectorView
from strategies.params import schemas_of
from strategies.recipe import Recipe, RecipeError

READ = (
    "Move a setting: at once, and without the model, you see where this text would first have "
    "changed. The strong part of a slider surely writes this same text, the pale one this token."
)
NO_NUMBER = "This recipe sets no number that could be moved."


def view(shown: InspectorView) -> dict[str, Any]:
    """The element's value: a slider for each number that the recipe sets."""
    selection = shown.selection
    result = shown.comparison.lanes[selection.lane]
    known = settings(result.recipe)
    return {
        "run": selection.run,
        "lane": selection.lane,
        "output": selection.output,
        "step": selection.step,
        "letter": LETTERS[selection.lane],
        "colour": COLOURS[selection.lane],
        "written": result.recipe,
        "sentence": READ if known else NO_NUMBER,
        "settings": known,
    }


def settings(written: str) -> list[dict[str, Any]]:
    """The numbers that a recipe's processors are set to, with the range that is usual for each."""
    met: Counter[str] = Counter()
    found = []
    try:
        steps = Recipe.of(written).steps[:-1]
    except RecipeError:  # of a strategy that is not installed here
        return []
    for step in steps:
        met[step.strategy] += 1
        again = f"#{met[step.strategy]}" if met[step.strategy] > 1 else ""
        for field, schema in schemas_of(step.plugin.Params).items():
            if not step.enabled or schema.get("type") not in ("number", "integer"):
                continue
            value, whole = getattr(step.params, field), schema["type"] == "integer"
            least, most = _bounds(schema, value)
            low, high = schema.get("usual", (least, most))
            low, high = max(least, min(low, value)), min(most, max(high, value))
            label = step.strategy if field == _first(step.plugin) else f"{step.strategy} {field}"
            found.append(
                {
                    "name": f"{step.strategy}{again}.{field}",
                    "label": f"{label}{again}",
                    "value": value,
                    "low": low,
                    "high": high,
                    "step": 1 if whole else schema.get("step", 0.01),
                }
            )
    return found


def _bounds(schema: dict[str, Any], value: float) -> tuple[float, float]:
    least = schema.get("minimum", schema.get("exclusiveMinimum", min(0, value)))
    return least, schema.get("maximum", schema.get("exclusiveMaximum", max(1, 2 * value)))


def _first(plugin: Any) -> str:
    return next(iter(plugin.Params.model_fields))


def changed(recipe: Recipe, values: dict[str, float]) -> Recipe:
    """The recipe with these settings at these values; ``RecipeError`` where one is refused."""
    steps = recipe.to_steps()
    met: Counter[str] = Counter()
    for step in steps:
        met[step["strategy"]] += 1
        again = f"#{met[step['strategy']]}" if met[step["strategy"]] > 1 else ""
        for name, value in values.items():
            strategy, _, field = name.partition(".")
            if strategy == f"{step['strategy']}{again}":
                whole = isinstance(step["params"].get(field), int)
                step["params"] = step["params"] | {field: round(value) if whole else value}
    return Recipe.from_steps(steps)


def told(found: WhatIf, text: RecordedText) -> str:
    """Where the text would first change, or that it would not, or why that cannot be told."""
    if found.index is None:
        if found.unknown:
            return f"it cannot be told. {found.unknown}"
        return f"this text would not have changed; all {count(len(text.path), 'token')} stay."
    was = quoted(piece(text.path[found.index]))
    if found.token is None:
        now = f"another token would stand in place of {was}; the trace does not tell which"
    elif found.text is None:
        now = f"token number {found.token:,} would stand in place of {was}"
    else:
        now = f"{quoted(found.text)} would stand in place of {was}"
    stay = f"; the {count(found.index, 'token')} before it stay" if found.index else ""
    return f"at token {found.index + 1} {now}{stay}."


def kind(found: WhatIf) -> str:
    return "changed" if found.index is not None else "unknown" if found.unknown else "same"


def range_told(one: SettingSlack, what: str = "text") -> dict[str, Any]:
    """The range that leaves the text, or the token, in a sentence, and its ends."""
    if one.text is None:
        return {"told": one.unknown or "The trace does not tell how far it may go."}
    low, high = one.text.low, one.text.high
    writes = f"writes this same {what}"
    if low == high:
        return {"low": low, "high": high, "told": f"only {low:.4g} surely {writes}"}
    ends = f"{_up(low)} … {_down(high)}"
    if one.text.below is None and one.text.above is None:
        return {"low": low, "high": high, "told": f"any of {ends} {writes}"}
    return {"low": low, "high": high, "told": f"{ends} {writes}"}


def _up(value: float) -> str:
    """In three figures, rounded into the range: what is told surely holds."""
    told = f"{value:.3g}"
    return told if float(told) >= value else f"{float(told) + _unit(value):.3g}"


def _down(value: float) -> str:
    told = f"{value:.3g}"
    return told if float(told) <= value else f"{float(told) - _unit(value):.3g}"


def _unit(value: float) -> float:
    """One in the third figure."""
    return float(10.0 ** (int(f"{abs(value):e}".partition("e")[2]) - 2))
