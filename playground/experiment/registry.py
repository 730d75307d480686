"""Finds the metrics: modules of the folder ``metrics/``, then entry points of other packages."""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.metadata
import pkgutil
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any

from pydantic import ValidationError

from playground.experiment.metric import Metric, MetricInfo
from strategies.notation import RecipeError, quote, read, shorten
from strategies.params import allowed

FOLDER = "playground.experiment.metrics"  # every file in it is a plugin
GROUP = "decoding_playground.metrics"  # of entry points, for plugins of other packages


class MetricError(ValueError):
    """Why the written form of a metric is invalid, in a sentence."""


@dataclass(frozen=True, eq=False)
class Metrics:
    """The usable metrics by id, and those that are ``broken``, each with its reason."""

    metrics: Mapping[str, type[Metric]]
    broken: Mapping[str, str]

    @classmethod
    def discover(
        cls, entry_points: Iterable[importlib.metadata.EntryPoint] | None = None
    ) -> Metrics:
        """The metrics of the folder and of the entry points (None: all installed ones)."""
        if entry_points is None:
            entry_points = importlib.metadata.entry_points(group=GROUP)
        names = sorted(
            m.name for m in pkgutil.iter_modules(importlib.import_module(FOLDER).__path__)
        )
        loads: list[tuple[str, Any]] = [
            *(
                (name, functools.partial(importlib.import_module, f"{FOLDER}.{name}"))
                for name in names
            ),
            *((point.name, point.load) for point in entry_points),
        ]
        found: dict[str, type[Metric]] = {}
        broken: dict[str, str] = {}
        for name, load in loads:
            try:
                for metric in _offered(load()):
                    check(metric)
                    if found.setdefault(metric.info.id, metric) is not metric:
                        raise TypeError(f"the id {metric.info.id!r} is taken")
            except (Exception, SystemExit) as error:
                broken[name] = f"{type(error).__name__}: {error}"
        return cls(MappingProxyType(found), MappingProxyType(broken))

    def parse(self, written: str) -> Metric:
        """The metric of a written form such as ``distinct_n(3)``. Raises ``MetricError``."""
        try:
            calls = read(written)
        except RecipeError as error:
            raise MetricError(str(error)) from None
        if len(calls) != 1 or not calls[0].enabled:
            raise MetricError(
                "One metric is written like distinct_n(3), but "
                f"{shorten(quote(written))} was given."
            )
        call = calls[0]
        plugin = self.metrics.get(call.strategy)
        if plugin is None:
            reason = self.broken.get(call.strategy)
            if reason is not None:
                raise MetricError(f"The metric {call.strategy} cannot be used: {reason}")
            near = difflib.get_close_matches(call.strategy[:100], self.metrics, n=2)
            guess = f"Did you mean {' or '.join(near)}?" if near else ""
            known = guess or f"There are: {', '.join(self.metrics)}."
            raise MetricError(f"There is no metric {shorten(call.strategy)}. {known}")
        fields = list(plugin.Params.model_fields)
        if len(call.values) > min(1, len(fields)):
            rule = (
                f"only {fields[0]} may stand without its name" if fields else "it takes no values"
            )
            raise MetricError(f"{call.strategy}: {rule}.")
        given = {**dict(zip(fields, call.values, strict=False)), **call.named}
        try:
            return plugin(plugin.Params.model_validate(given, strict=True))
        except ValidationError as error:
            raise MetricError(f"{call.strategy}: {_sentence(plugin, error, given)}") from None


@functools.cache
def metrics() -> Metrics:
    """The installed metrics, found once."""
    return Metrics.discover()


def check(metric: Any) -> None:
    """Raise ``TypeError`` with the first fault of a metric class, in a sentence."""
    name = getattr(metric, "__name__", str(metric))
    if not (isinstance(metric, type) and issubclass(metric, Metric)):
        raise TypeError(f"{name}: it is not a Metric")
    info = getattr(metric, "info", None)
    if not isinstance(info, MetricInfo):
        raise TypeError(f"{name}: it has no info = MetricInfo(…)")
    if not re.fullmatch("[a-z][a-z0-9_]*", info.id):
        raise TypeError(f"{name}: the id {info.id!r} is not a lower-case name")
    for part in ("title", "summary", "formula", "source", "more", "less"):
        if not getattr(info, part):
            raise TypeError(f"{name}: info.{part} is empty")
    if info.reads_features:
        if metric.over_all is Metric.over_all:
            raise TypeError(f"{name}: it reads features and does not define over_all")
    elif metric.value is Metric.value and metric.values is Metric.values:
        raise TypeError(f"{name}: it defines neither value nor values")
    for field, about in metric.Params.model_fields.items():
        if not about.description:
            raise TypeError(f"{name}: the setting {field} has no description")
    metric.Params()  # every setting has a default


def _offered(found: Any) -> list[type[Metric]]:
    if not isinstance(found, ModuleType):
        return [found]
    return [
        value
        for value in vars(found).values()
        if isinstance(value, type)
        and issubclass(value, Metric)
        and value.__module__ == found.__name__
        and hasattr(value, "info")
    ]


def _sentence(plugin: type[Metric], error: ValidationError, given: Mapping[str, Any]) -> str:
    first = error.errors(include_url=False)[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    schemas = plugin.Params.model_json_schema().get("properties", {})
    if field in schemas and "error" not in first.get("ctx", {}):
        return (
            f"{field} must be {allowed(schemas[field])}, but {shorten(quote(given.get(field)))} "
            "was given."
        )
    if first["type"] == "extra_forbidden":
        has = f"it has {', '.join(schemas)}" if schemas else "it has none"
        return f"there is no setting {shorten(field)}; {has}."
    reason = first.get("ctx", {}).get("error", first["msg"])
    return f"{field}: {reason}" if field else str(reason)
