"""The examples of ``strategies/README.md`` run as printed."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

import strategies
from strategies import Recipe, Row
from strategies.registry import GROUP, Registry
from tests.plugins import installed
from tests.strategies import test_contract
from tests.strategies.driver import context, run, transitions
from tests.strategies.test_contract import two_threads as two_threads

ROOT = Path(strategies.__file__).parents[1]
README = Path(strategies.__file__).with_name("README.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"<!-- file: (\w+)\.py -->\n```python\n(.*?)```", README, re.S))
TABLE = torch.tensor([[0.1, 0.5, 0.4], [0.2, 0.7, 0.1], [0.3, 0.1, 0.6]])


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """The printed files, saved into a folder of plugins and found there."""
    folder = tmp_path / "readme_plugins"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    for name, source in EXAMPLES.items():
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield Registry.discover([folder.name], [])
    for name in [name for name in sys.modules if name.startswith("readme_plugins")]:
        del sys.modules[name]


@pytest.fixture
def known(package: Registry) -> Iterator[Registry]:
    """The same as if saved into the folders of the plugins: recipes know them."""
    with installed(*package.strategies.values()):
        yield package


def test_every_printed_file_is_a_plugin(package: Registry) -> None:
    assert package.broken == ()
    assert set(package.strategies) == set(EXAMPLES) and len(EXAMPLES) == 3


def test_every_building_block_is_told() -> None:
    table = README.partition("| of `ops/` | for |")[2].partition("\n\n")[0]
    blocks = {module.name for module in pkgutil.iter_modules(strategies.ops.__path__)}
    assert set(re.findall(r"`(\w+)`", table)) == blocks


@pytest.mark.parametrize("kind", [strategies.Strategy, strategies.Processor, strategies.Search])
def test_what_a_plugin_may_define_is_told(kind: type[strategies.Strategy]) -> None:
    prose = re.sub(r"```.*?```", "", README, flags=re.S)
    told = set(re.findall(r"\w+", f"{re.findall('`[^`]+`', prose)} {EXAMPLES}"))
    names = {name for name in vars(kind) if not name.startswith("_")}
    assert names - told <= {
        "kind",
        "is_neutral",
        "best",
        "goes_back",
        "remembers_probabilities",
    }  # these follow from the others


def contract() -> Iterator[tuple[str, Callable[..., None], dict[str, Any]]]:
    """Every check of ``test_contract``, for each example of the kind it is made for."""
    for test in vars(test_contract).values():
        given = {mark.args[0]: mark.args[1] for mark in getattr(test, "pytestmark", ())}
        if "strategy" not in given:
            continue
        kinds = {strategy.kind for strategy in given.pop("strategy")}
        taken = inspect.signature(test).parameters
        for values in product(*given.values()):
            settings = {name: None for name in taken if name not in ("strategy", *given)}
            settings |= dict(zip(given, values, strict=True))
            for name, source in EXAMPLES.items():
                if ("search" if "(Search)" in source else "processor") in kinds:
                    yield name, test, settings


CONTRACT = [
    pytest.param(*check, id=f"{check[0]}-{check[1].__name__}-{check[2].get('vocab', '')}")
    for check in contract()
]


@pytest.mark.parametrize(("name", "check", "settings"), CONTRACT)
def test_the_examples_keep_the_contract(
    name: str,
    check: Callable[..., None],
    settings: dict[str, Any],
    known: Registry,
    two_threads: None,
) -> None:
    check(strategy=known.strategies[name], **settings)


def test_the_examples_are_held_to_the_whole_contract() -> None:
    assert {check.values[1] for check in CONTRACT} == {
        test
        for name, test in vars(test_contract).items()
        if name.startswith("test_") and name != "test_nothing_installed_here_is_broken"
    }


@pytest.mark.parametrize("tool", ["ruff check", "ruff format --check", "mypy"])
def test_the_examples_pass_the_tools_of_this_project(tool: str, tmp_path: Path) -> None:
    """Saved as told, checked with the settings this folder is checked with."""
    for name, source in EXAMPLES.items():
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    settings = "--config-file" if tool == "mypy" else "--config"
    files = [str(tmp_path / f"{name}.py") for name in EXAMPLES]
    done = subprocess.run(
        [sys.executable, "-m", *tool.split(), settings, "pyproject.toml", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_processor_does_what_it_says(known: Registry) -> None:
    (processor,), _ = Recipe.parse("recency_penalty(2, window=2) | greedy").build(context(6))
    out = processor(torch.zeros(1, 6), [Row((1, 2, 3, 4, 4), 1)])
    assert out.tolist() == [[0, 0, 0, 0, -2, 0]]


def test_the_search_does_what_it_says(known: Registry) -> None:
    (row,) = run(transitions(TABLE), "runner_up", (0,), max_new_tokens=3)
    assert row.generated == (2, 2, 2)


def test_the_printed_entry_point_is_found_once_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((group, name, value),) = re.findall(
        r'\[project\.entry-points\."([\w.]+)"\]\n(\w+) = "([\w.:]+)"', README
    )
    assert group == GROUP
    module = value.partition(":")[0]
    (tmp_path / f"{module}.py").write_text(EXAMPLES["recency_penalty"], encoding="utf-8")
    metadata = tmp_path / "my_strategies-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-strategies\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = {value}\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    assert EntryPoint(name, value, group) in entry_points(group=GROUP)
    found = Registry.discover([])
    assert found.broken == ()
    assert found.strategies[name].__module__ == module
    del sys.modules[module]
