"""Checks a plugin against the contract when it is found, so that a run meets no faulty one."""

from __future__ import annotations

import keyword
import re
from typing import Any

from . import base
from .base import Info, Processor, Search, Strategy

WRITABLE = {"number", "integer", "boolean", "string", "null"}


def check(strategy: Any) -> None:
    """Raise ``TypeError`` with the first fault of this strategy, in a sentence."""
    for holds, fault in _rules(strategy):
        if not holds:
            raise TypeError(f"{getattr(strategy, '__name__', strategy)}: {fault}")


def _rules(strategy: Any) -> Any:
    """Pairs (holds, fault), made one by one: a rule presumes that all before it hold."""
    yield isinstance(strategy, type) and issubclass(strategy, Strategy), "it is not a Strategy"
    yield issubclass(strategy, Processor | Search), "it is neither a Processor nor a Search"
    method = "__call__" if issubclass(strategy, Processor) else "advance"
    base_class = Processor if issubclass(strategy, Processor) else Search
    yield (
        getattr(strategy, method) is not getattr(base_class, method),
        f"it does not define {method}",
    )
    missing = sorted(getattr(strategy, "__abstractmethods__", ()))
    yield not missing, f"it does not define {', '.join(missing)}"
    info: Any = getattr(strategy, "info", None)
    yield isinstance(info, Info), "it has no info = Info(…)"
    yield (
        re.fullmatch("[a-z][a-z0-9_]*", info.id) and not keyword.iskeyword(info.id),
        f"the id {info.id!r} is not a lower-case name",
    )
    for part in ("title", "summary", "formula", "source"):
        yield bool(getattr(info, part)), f"info.{part} is empty"
    params = strategy.Params
    yield issubclass(params, base.Params), "its Params do not extend strategies.Params"
    yield (
        params.model_config.get("frozen") and params.model_config.get("extra") == "forbid",
        "its Params must stay frozen and closed",
    )
    for name, field in params.model_fields.items():
        yield bool(field.description), f"the setting {name} has no description"
        yield not field.is_required(), f"the setting {name} has no default"
    params()
    for name, schema in params.model_json_schema().get("properties", {}).items():
        inner = schema.get("items", schema.get("additionalProperties"))  # of a list, a mapping
        inner = inner if isinstance(inner, dict) else schema
        for choice in inner.get("anyOf", [inner]):
            kind = choice.get("type")
            yield (
                "enum" in choice or "const" in choice or kind in WRITABLE,
                f"the setting {name} must be a number, a truth value or a text, or a list of them",
            )
            low, high = ({m, f"exclusive{m.title()}"} & set(choice) for m in ("minimum", "maximum"))
            yield (
                kind not in ("number", "integer") or bool(low and high),
                f"the setting {name} needs a lower and an upper bound",
            )
    unknown = set(strategy.neutral) - set(params.model_fields)
    yield not unknown, f"neutral names {', '.join(sorted(unknown))}, which it has no setting for"
    params.model_validate(dict(strategy.neutral))
