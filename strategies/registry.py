"""Finds the strategies: modules of the two plugin folders, then entry points of packages."""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.metadata
import pkgutil
from abc import ABC
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any

from .base import Processor, Search, Strategy
from .contract import check
from .notation import RecipeError, shorten

FOLDERS = ("strategies.processors", "strategies.searches")  # every file in them is a plugin
GROUP = "decoding_playground.strategies"  # of entry points, for plugins of other packages


@dataclass(frozen=True)
class Broken:
    """A plugin that could not be used, and why."""

    name: str
    error: str


@dataclass(frozen=True, eq=False)
class Registry:
    """The usable strategies by id, processors first, and those that are ``broken``. Immutable."""

    strategies: Mapping[str, type[Strategy]]
    broken: tuple[Broken, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "strategies", MappingProxyType(dict(self.strategies)))

    @classmethod
    def discover(
        cls,
        folders: Iterable[str] = FOLDERS,
        entry_points: Iterable[importlib.metadata.EntryPoint] | None = None,
    ) -> Registry:
        """Import the modules of these packages and the entry points (None: all installed ones).

        A plugin that raises is listed in ``broken``; the others are found all the same.
        """
        if entry_points is None:
            entry_points = importlib.metadata.entry_points(group=GROUP)
        found: dict[str, type[Strategy]] = {}
        broken: list[Broken] = []
        for name, load in [*_modules(folders), *((e.name, e.load) for e in entry_points)]:
            try:
                for strategy in _offered(load()):
                    _add(found, strategy)
            except (Exception, SystemExit) as error:
                broken.append(Broken(name, f"{type(error).__name__}: {error}"))
        ordered = sorted(found.values(), key=lambda strategy: strategy.kind != "processor")
        return cls({strategy.info.id: strategy for strategy in ordered}, tuple(broken))

    def get(self, strategy: str) -> type[Strategy]:
        """The strategy of this id; raises ``RecipeError`` naming the most similar id, or all."""
        if strategy in self.strategies:
            return self.strategies[strategy]
        for plugin in self.broken:
            if plugin.name == strategy:
                raise RecipeError(f"The plugin {strategy} cannot be used: {plugin.error}")
        near = difflib.get_close_matches(strategy[:100], self.strategies, n=2)
        guess = f"Did you mean {' or '.join(near)}?"
        known = f"There are: {', '.join(self.strategies)}."
        raise RecipeError(
            f"There is no strategy {shorten(repr(strategy))}. {guess if near else known}"
        )


def registry() -> Registry:
    """The registry of what is installed, found once: recipes are parsed with it.

    It never changes, and it is the same for all parts of a process as its imports are, so that a
    recipe needs no other context to be read.
    """
    return _installed()


@functools.cache
def _installed() -> Registry:
    return Registry.discover()


def _modules(folders: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """The name of each module of these packages, and a function that imports it."""
    for folder in folders:
        paths = importlib.import_module(folder).__path__
        for name in sorted(module.name for module in pkgutil.iter_modules(paths)):
            yield name, functools.partial(importlib.import_module, f"{folder}.{name}")


def _offered(found: Any) -> list[type[Strategy]]:
    """The strategies of a module, or the class an entry point names.

    Base classes are left out: an ``ABC``, or a class that others in the module extend. A class
    without ``info`` is listed, so that the check finds it broken.
    """
    if not isinstance(found, ModuleType):
        return [found]
    own = [
        value
        for value in vars(found).values()
        if isinstance(value, type)
        and issubclass(value, Strategy)
        and value.__module__ == found.__name__
        and value not in (Strategy, Processor, Search)
    ]
    extended = {base for value in own for base in value.__mro__[1:]}
    return [
        value
        for value in own
        if hasattr(value, "info") or not (ABC in value.__bases__ or value in extended)
    ]


def _add(found: dict[str, type[Strategy]], strategy: type[Strategy]) -> None:
    check(strategy)
    earlier = found.setdefault(strategy.info.id, strategy)
    if earlier is not strategy:
        raise TypeError(f"the id {strategy.info.id!r} is taken by {earlier.__module__}")
