"""Settings, scores and rows to try a strategy on, made from its ``Params`` alone."""

from __future__ import annotations

from collections.abc import Iterator
from math import nextafter
from typing import Any

import torch
from torch import Tensor

from strategies import Params, RecipeError, Row, Strategy
from strategies.params import make
from strategies.registry import registry

INF = torch.inf
PROCESSORS = [s for s in registry().strategies.values() if s.kind == "processor"]
SEARCHES = [s for s in registry().strategies.values() if s.kind == "search"]


def values(schema: dict[str, Any]) -> list[Any]:
    """What one setting may be: its bounds, its usual range, a middle; each choice; both truths."""
    if "anyOf" in schema:
        return [value for choice in schema["anyOf"] for value in values(choice)]
    if "examples" in schema:
        return list(schema["examples"])
    if schema.get("type") == "array":
        return [(), ("a", 'b|"c\n')]
    if schema.get("type") == "object":
        low, *_, high = values(schema["additionalProperties"])
        return [{}, {"1": low, "7": high, "a|b": high}]
    if "enum" in schema:
        return list(schema["enum"])
    if schema["type"] == "boolean":
        return [False, True]
    if schema["type"] == "string":
        return ["", "a|b"]
    kind = int if schema["type"] == "integer" else float
    low, high = bounds(schema)
    usual = schema.get("usual", [low, high])
    picks = [low, usual[0], (usual[0] + usual[1]) / 2, usual[1], high]
    return list(dict.fromkeys(kind(min(max(pick, low), high)) for pick in picks))


def bounds(schema: dict[str, Any]) -> tuple[float, float]:
    """The least and the most that a number may be."""

    def within(bound: float, way: float) -> float:
        return bound + way if schema["type"] == "integer" else nextafter(bound, way * INF)

    low = schema.get("minimum", within(schema.get("exclusiveMinimum", 0), 1))
    high = schema.get("maximum", within(schema.get("exclusiveMaximum", 0), -1))
    return low, high


def edges(schema: dict[str, Any]) -> list[float]:
    """What a number may nearly not be, or not quite: beside its bounds, and where floats end."""
    if schema.get("type") != "number":
        return []
    ends = [nextafter(bound, way) for bound in bounds(schema) for way in (-INF, INF)]
    return [*ends, 5e-324, 1e-45, 1e-38, 1e-7, nextafter(1, 0), 1e38, -5e-324, -1e38]


def beyond(schema: dict[str, Any]) -> list[Any]:
    """What one setting may not be: just past each of its bounds, and of another kind."""
    if "anyOf" in schema:
        return [None]
    if schema.get("type") == "array":
        return [["a"] * (schema["maxItems"] + 1), 7]
    if schema.get("type") == "string" and "enum" not in schema:
        return ["a" * (schema["maxLength"] + 1)] if "maxLength" in schema else [7]
    if schema.get("type") not in ("number", "integer"):
        return ["no such value"]
    edge = 1 if schema["type"] == "integer" else 1e-6
    found = [schema[name] for name in ("exclusiveMinimum", "exclusiveMaximum") if name in schema]
    found += [schema["minimum"] - edge] if "minimum" in schema else []
    found += [schema["maximum"] + edge] if "maximum" in schema else []
    return [*found, "1", True]


def settings(strategy: type[Strategy]) -> Iterator[Params]:
    """The defaults; a middle setting; and each value of each field, the others in the middle."""
    fields = strategy.Params.model_json_schema().get("properties", {})
    middle = {name: values(schema)[len(values(schema)) // 2] for name, schema in fields.items()}
    yield strategy.Params()
    yield make(strategy, middle, 0)
    for name, schema in fields.items():
        for value in values(schema):
            try:
                yield make(strategy, {**middle, name: value}, 0)
            except RecipeError as refusal:  # within its bounds, yet not beside the others
                assert str(refusal).endswith("."), refusal
        for value in schema.get("examples", ())[1:]:  # one of several that exclude each other
            yield make(strategy, {name: value}, 0)


def rows(vocab: int) -> list[Row]:
    """Six texts of several lengths: a prompt alone, repeats, every token, ids out of reach."""
    texts = [
        ((0,), 1),
        ((1, 2, 3, 1, 2), 5),
        ((1, 2, 3, 1, 2), 2),
        ((4, 4, 4, 4, 4, 4), 1),
        (tuple(range(vocab)), 3),
        ((5, vocab + 7, vocab + 7, 6, 5), 3),
    ]
    return [Row(tokens, prompt, seed=3, sample=i) for i, (tokens, prompt) in enumerate(texts)]


def scores(vocab: int) -> Tensor:
    """Six distributions: ordinary, flat, sure, half removed, one token left, tied at the top."""
    out = torch.randn(6, vocab, generator=torch.Generator().manual_seed(vocab)) * 3
    out[1] = 0.25
    out[2, 3] = 60.0
    out[3, ::2] = -INF
    out[4] = -INF
    out[4, 2] = -1.5
    out[5, : vocab // 2] = out[5].max() + 1
    return out
