"""``decoding-playground strategies``: what a recipe can be made of."""

from __future__ import annotations

import sys
import textwrap
from typing import Any

from playground.api.cards import Strategies, StrategyCard
from playground.cli.command import failed
from strategies.base import Strategy
from strategies.notation import RecipeError, quote
from strategies.registry import Registry, registry

_KINDS = {
    "processor": "Processors, any number of them in a recipe:",
    "search": "Searches, one of which ends it:",
}


def listed(id: str | None, as_json: bool) -> int:
    """Print all strategies, a line each, or all of one."""
    found = registry()
    for plugin in found.broken:
        print(f"{plugin.name} cannot be used: {plugin.error}", file=sys.stderr)
    try:
        chosen = None if id is None else found.get(id)
    except RecipeError as error:
        return failed(str(error))
    if as_json:
        whole = Strategies.of(found) if chosen is None else StrategyCard.of(chosen)
        print(whole.model_dump_json(indent=2))
    elif chosen is not None:
        print("\n".join(_all_of(chosen)))
    else:
        print("\n".join(_lines(found)))
    return 0


def _lines(found: Registry) -> list[str]:
    wide = max(map(len, found.strategies))
    lines: list[str] = []
    for kind, words in _KINDS.items():
        lines += [*([""] if lines else []), words]
        lines += [
            f"  {id:{wide}}  {strategy.info.summary}"
            for id, strategy in found.strategies.items()
            if strategy.kind == kind
        ]
    return lines


def _all_of(strategy: type[Strategy]) -> list[str]:
    info = strategy.info
    lines = [f"{info.id} ({strategy.kind}): {info.title}", "", info.summary]
    if info.advice:
        lines += ["", *textwrap.wrap(info.advice, 88)]
    properties = strategy.Params.model_json_schema().get("properties", {})
    for name, field in strategy.Params.model_fields.items():
        lines += ["", f"  {name} = {quote(field.default)}{_bounds(properties[name])}"]
        lines += textwrap.wrap(
            field.description or "", 88, initial_indent="    ", subsequent_indent="    "
        )
    return [*lines, "", f"Source: {info.source} {info.url}".rstrip()]


def _bounds(schema: dict[str, Any]) -> str:
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "more than",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    found = [f"{words[name]} {schema[name]:g}" for name in words if name in schema]
    return f"  ({', '.join(found)})" if found else ""
