"""An experiment as the TOML file that defines it: self-contained, every prompt written out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from playground.experiment.experiment import Experiment


def to_toml(experiment: Experiment) -> str:
    """A file that ``Experiment.from_file`` reads back as this same experiment."""
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in Experiment.model_fields.items()
    }
    lines = []
    for name, value in experiment.model_dump().items():
        if name in ("prompts", "recipes", "names"):
            continue
        if value is not None and (value != defaults[name] or name in ("seeds", "metrics")):
            lines.append(f"{name} = {_value(value)}")
    lines.append(f"recipes = {_several([str(recipe) for recipe in experiment.recipes])}")
    prompts: list[Any] = []
    for prompt in experiment.prompts:
        given = {name: value for name, value in prompt.model_dump().items() if value}
        prompts.append(prompt.text if set(given) == {"text"} else given)
    lines.append(f"prompts = {_several(prompts)}")
    if experiment.names:
        lines.append(f"names = {_value(experiment.names)}")
    return "\n".join(lines) + "\n"


def _several(values: list[Any]) -> str:
    inside = "".join(f"    {_value(value)},\n" for value in values)
    return f"[\n{inside}]"


def _value(value: Any) -> str:
    if isinstance(value, str):
        # As in JSON, whose escapes TOML has; it also wants one for the last control character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_value(str(k))} = {_value(v)}' for k, v in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)  # numbers and truth values
