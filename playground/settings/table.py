"""The settings as a table, for the README."""

from __future__ import annotations

from playground.settings.settings import Settings
from playground.settings.variables import variables


def table() -> str:
    """The settings as a Markdown table."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        names = " or ".join(f"`{variable}`" for variable in variables(name, Settings))
        lines.append(f"| {names} | {default(name)} | {field.description} |")
    return "\n".join(lines)


def default(name: str) -> str:
    """The default of a setting, in Markdown."""
    if name == "cache_dir":
        return "`~/.cache/decoding-playground`"
    value = Settings.model_fields[name].default
    if value is None or value in ("", ()):
        return "unset"
    if isinstance(value, tuple):
        value = ",".join(value)
    return f"`{value}`"
