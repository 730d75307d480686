"""The examples of ``strategies/README.md`` run as printed."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
import torch

import strategies
from strategies import Recipe, Row
from strategies.registry import GROUP, Registry
from tests.strategies import test_contract
from tests.strategies.driver import context, run, transitions

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
    yield Registry.discover(folder.name, [])
    for name in [name for name in sys.modules if name.startswith("readme_plugins")]:
        del sys.modules[name]


@pytest.fixture
def installed(package: Registry, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The same as if saved into this folder: recipes know them."""
    for name, strategy in package.strategies.items():
        monkeypatch.setitem(strategies.registry.registry().strategies, name, strategy)
    return package


def test_every_printed_file_is_a_plugin(package: Registry) -> None:
    assert package.broken == []
    assert set(package.strategies) == set(EXAMPLES) and len(EXAMPLES) == 3


@pytest.mark.parametrize("kind", [strategies.Strategy, strategies.Processor, strategies.Search])
def test_what_a_plugin_may_define_is_told(kind: type[strategies.Strategy]) -> None:
    prose = re.sub(r"```.*?```", "", README, flags=re.S)
    told = set(re.findall(r"\w+", f"{re.findall('`[^`]+`', prose)} {EXAMPLES}"))
    names = {name for name in vars(kind) if not name.startswith("_")}
    assert names - told <= {"kind", "is_neutral", "best"}  # these follow from the others


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_the_examples_keep_the_contract(name: str, installed: Registry) -> None:
    strategy = installed.strategies[name]
    test_contract.test_every_setting_is_written_and_read_back(strategy)
    if strategy.kind == "search":
        test_contract.test_a_search_starts_from_one_row_and_keeps_its_width(strategy)
        test_contract.test_a_search_ends_and_orders_its_texts(strategy)
        return
    test_contract.test_neutral_changes_nothing(strategy)
    test_contract.test_scores_are_pure_and_never_empty(strategy, 300)
    test_contract.test_state_is_a_value(strategy)
    test_contract.test_a_row_is_alone_in_company(strategy, 300, None)


def test_the_processor_does_what_it_says(installed: Registry) -> None:
    (processor,), _ = Recipe.parse("recency_penalty(2, window=2) | greedy").build(context(6))
    out = processor(torch.zeros(1, 6), [Row((1, 2, 3, 4, 4), 1)])
    assert out.tolist() == [[0, 0, 0, 0, -2, 0]]


def test_the_search_does_what_it_says(installed: Registry) -> None:
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
    found = Registry.discover()
    assert found.broken == []
    assert found.strategies[name].__module__ == module
    assert "top_k" in found.strategies
    del sys.modules[module]
