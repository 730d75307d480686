"""Plugins are found in a folder and among entry points, and a broken one stops nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import FunctionType

import pytest
import torch

from strategies import RecipeError, Step
from strategies.processors.top_k import TopK
from strategies.registry import GROUP, Registry, registry
from strategies.searches.greedy import Greedy

GOOD = """
from strategies import Info, Params, Processor, setting

class Plus(Processor):
    info = Info(id="{id}", title="Plus", summary="Adds.", formula="z + a", source="A test")

    class Params(Params):
        amount: float = setting(0.0, "How much.", ge=0, le=9)

    def __call__(self, scores, rows):
        return scores + self.params.amount
"""


class Folder:
    """A package of plugin files, gone from the interpreter afterwards."""

    def __init__(self, path: Path) -> None:
        self.path = path / "plugins_of_a_test"
        self.path.mkdir()
        (self.path / "__init__.py").write_text("")

    def write(self, name: str, source: str) -> None:
        (self.path / f"{name}.py").write_text(source)
        importlib.invalidate_caches()

    def discover(self, *entry_points: EntryPoint) -> Registry:
        return Registry.discover([self.path.name], entry_points)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    monkeypatch.syspath_prepend(tmp_path)
    yield Folder(tmp_path)
    for name in [name for name in sys.modules if name.startswith("plugins_of_a_test")]:
        del sys.modules[name]


def good(name: str, **changes: str) -> str:
    source = GOOD.format(id=name)
    for old, new in changes.items():
        before = {"info": "info = Info(", "amount": 'setting(0.0, "How much.", ge=0, le=9)'}[old]
        assert before in source
        source = source.replace(before, new)
    return source


def test_processors_come_before_searches_in_a_stable_order() -> None:
    kinds = [strategy.kind for strategy in registry().strategies.values()]
    assert kinds == sorted(kinds)
    assert list(registry().strategies) == list(Registry.discover().strategies)
    assert registry() is registry()
    assert registry().get("top_k") is TopK


def test_a_file_in_the_folder_is_a_plugin(folder: Folder) -> None:
    folder.write("plus", good("plus"))
    found = folder.discover()
    assert list(found.strategies) == ["plus"] and found.broken == ()


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        (good("Bad-Id"), "the id 'Bad-Id' is not a lower-case name"),
        (good("lambda"), "the id 'lambda' is not a lower-case name"),
        (good("bad", info="info = dict("), "it has no info"),
        (good("bad", info="told = Info("), "Plus: it has no info = Info(…)"),
        (good("bad").replace('title="Plus"', 'title=""'), "info.title is empty"),
        (good("bad", amount='setting(0.0, "", ge=0, le=9)'), "amount has no description"),
        (good("bad", amount='setting(..., "How much.", ge=0, le=9)'), "amount has no default"),
        (good("bad", amount='setting(0.0, "How much.", ge=0)'), "needs a lower and an upper"),
        (good("bad", amount='setting(0.0, "How much.", lt=9)'), "needs a lower and an upper"),
        (
            good("bad").replace("amount: float", "amount: list[list[str]]"),
            "must be a number, a truth",
        ),
        (good("bad").replace("__call__", "call"), "it does not define __call__"),
        (good("bad").replace("Processor", "Strategy"), "neither a Processor nor a Search"),
        (good("bad").replace("class Params(Params)", "class Params"), "do not extend"),
        (good("bad") + "    neutral = {'size': 0}\n", "neutral names size"),
        (good("bad") + "    neutral = {'amount': -1}\n", "ValidationError"),
        (
            good("bad").replace("How much.", "How much.")
            + "    Params.model_config['frozen'] = False\n",
            "must stay frozen and closed",
        ),
        (good("plus"), "the id 'plus' is taken by plugins_of_a_test.aaa"),
    ],
)
def test_a_broken_plugin_is_listed_and_stops_nothing(
    folder: Folder, source: str, error: str
) -> None:
    folder.write("aaa", good("plus"))
    folder.write("bad", source)
    folder.write("zzz", good("also"))
    found = folder.discover()
    assert list(found.strategies) == ["plus", "also"]
    (broken,) = found.broken
    assert broken.name == "bad" and error in broken.error
    with pytest.raises(RecipeError, match="The plugin bad cannot be used: "):
        found.get("bad")


def test_entry_points_name_a_class_or_a_module(folder: Folder) -> None:
    folder.write("zzz", good("zzz"))
    module = folder.path.parent / "a_package_of_plugins.py"
    module.write_text(good("one") + good("two").replace("class Plus", "class Two"))
    found = folder.discover(
        EntryPoint("one", "a_package_of_plugins:Plus", GROUP),
        EntryPoint("all", "a_package_of_plugins", GROUP),
        EntryPoint("gone", "a_package_of_plugins:Gone", GROUP),
        EntryPoint("none", "no_such_package:Thing", GROUP),
        EntryPoint("text", "a_package_of_plugins:__name__", GROUP),
        EntryPoint("search", "strategies.searches.greedy:Greedy", GROUP),
    )
    assert list(found.strategies) == ["zzz", "one", "two", "greedy"]
    assert found.get("greedy") is Greedy
    assert [broken.name for broken in found.broken] == ["gone", "none", "text"]
    assert "it is not a Strategy" in found.broken[2].error
    del sys.modules["a_package_of_plugins"]


def test_what_a_plugin_imports_is_not_its_own(folder: Folder) -> None:
    folder.write("child", "from strategies.processors.top_k import TopK\n" + good("child"))
    assert list(folder.discover().strategies) == ["child"]


def test_what_is_there_to_be_extended_is_no_plugin(folder: Folder) -> None:
    """A base of the module's own, whatever it is called, and an ABC, though without ``info``."""
    bare = (
        "\nclass Shared(Processor):\n    def __call__(self, scores, rows):\n        return scores\n"
    )
    folder.write(
        "child",
        good("child")
        .replace("\nclass", bare + "\nclass", 1)
        .replace("(Processor):\n    info", "(Shared):\n    info"),
    )
    folder.write(
        "other",
        "from abc import ABC\n"
        + good("other").replace(
            "\nclass", bare.replace("(Processor)", "(Processor, ABC)") + "\nclass", 1
        ),
    )
    found = folder.discover()
    assert list(found.strategies) == ["child", "other"] and found.broken == ()


def test_an_unfinished_subclass_says_what_is_left_to_define(folder: Folder) -> None:
    source = good("bad").replace("Processor", "FromLogitsProcessor").replace("__call__", "call")
    folder.write(
        "bad",
        "from strategies.bridges.transformers_processors import FromLogitsProcessor\n"
        + source.replace("Params, FromLogitsProcessor", "Params"),
    )
    (broken,) = folder.discover().broken
    assert "Plus: it does not define wrapped" in broken.error


def test_an_unknown_name_lists_the_near_ones() -> None:
    with pytest.raises(RecipeError, match=r"'topp'\. Did you mean top_p or top_k\?$"):
        registry().get("topp")


@pytest.mark.parametrize(
    ("earlier", "now"),
    [
        ("adapters", ["bridges.transformers_processors"]),
        ("generate", ["bridges.generate", "bridges.generation_config"]),
        ("tokens", ["ops.spellings", "ops.tokens"]),
    ],
)
def test_an_earlier_module_name_still_gives_every_function(earlier: str, now: list[str]) -> None:
    old, *new = (importlib.import_module(f"strategies.{name}") for name in (earlier, *now))
    public = {
        name: value
        for module in new
        for name, value in vars(module).items()
        if not name.startswith("_")
    }
    assert all(getattr(old, name) is public[name] for name in old.__all__)
    modules = {module.__name__ for module in new}
    functions = {name for name, value in public.items() if isinstance(value, FunctionType)}
    assert {name for name in functions if public[name].__module__ in modules} <= set(old.__all__)


def test_a_step_has_its_noise_by_the_earlier_name_too() -> None:
    step = Step(0, [], torch.zeros(0, 3), torch.ones, lambda row, token: False)
    assert step.luck is torch.ones


@pytest.mark.parametrize("kind", ["processor", "search"])
def test_each_folder_holds_its_own_kind(kind: str) -> None:
    folder = {"processor": "strategies.processors", "search": "strategies.searches"}[kind]
    found = Registry.discover([folder], [])
    assert found.broken == () and found.strategies
    assert {strategy.kind for strategy in found.strategies.values()} == {kind}
