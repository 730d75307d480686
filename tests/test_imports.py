"""Which module may import which, where the environment is read, and what an import loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(
    file.relative_to(ROOT)
    for file in [
        *ROOT.glob("playground/**/*.py"),
        *ROOT.glob("strategies/**/*.py"),
        ROOT / "app.py",
    ]
)

# Each part of the tree, and what nothing in it may import. The first that fits a file counts.
FORBIDDEN = {
    "strategies": ["playground", "gradio", "plotly", "fastapi", "transformers"],
    "playground/engine": ["gradio", "plotly", "fastapi", "playground.ui", "playground.api"],
    "playground/ui": ["fastapi", "playground.api"],
    "playground/api": ["gradio", "plotly", "playground.ui"],
    "playground/models": [
        "gradio",
        "fastapi",
        "playground.engine",
        "playground.ui",
        "playground.api",
    ],
    "playground/cli": ["gradio", "plotly"],  # it puts the parts together, as app.py does
    "playground/html": ["gradio", "fastapi", "playground.api", "playground.engine"],
    "playground/tools": ["plotly", "playground.ui"],  # Gradio's endpoints over the API's answers
    "playground/bench": ["gradio", "playground.ui"],  # it drives what is served over HTTP
    "playground": ["gradio", "fastapi", "playground.ui", "playground.api"],
}
# For parts that may import little of this project: all that they may import of it.
ALLOWED = {
    "strategies": ["strategies"],
    "playground/charts": [
        "playground.charts",
        "playground.colours",
        "playground.metrics",
        "playground.trace",
    ],
    "playground/explain/replay": [  # it runs recipes; to read a saved trace needs no strategies
        "playground.explain",
        "playground.metrics",
        "playground.trace",
        "strategies",
    ],
    "playground/explain": [
        "playground.explain",
        "playground.colours",
        "playground.metrics",
        "playground.trace",
    ],
    "playground/history": ["playground.database", "playground.history", "playground.trace"],
    "playground/database.py": [],
    "playground/metrics.py": ["playground.trace"],
    # A comparison has methods for explanations and files, which import what they need when called.
    "playground/trace/comparison.py": [
        "playground.trace",
        "playground.explain",
        "playground.html",
        "strategies",
    ],
    "playground/trace": ["playground.trace"],
    "playground/settings": ["playground.settings"],
}
EXCEPTIONS = {
    # Bridges between strategies and transformers.
    ("strategies/bridges/transformers_processors.py", "transformers"),
    ("strategies/bridges/generate.py", "transformers"),
}


def imports(file: Path) -> Iterator[str]:
    """Every module a file names in an import, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(file.parts[: -node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def inside(name: str, packages: list[str]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def part(file: Path, rules: dict[str, list[str]]) -> list[str] | None:
    text = file.as_posix()
    return next((rules[k] for k in rules if text == k or text.startswith(k + "/")), None)


def faults(file: Path, names: Iterator[str]) -> list[str]:
    """The imports among ``names`` that this file may not have."""
    forbidden, allowed = part(file, FORBIDDEN) or [], part(file, ALLOWED)
    return [
        name
        for name in names
        if (file.as_posix(), name.split(".")[0]) not in EXCEPTIONS
        and (
            inside(name, forbidden)
            or (
                allowed is not None
                and inside(name, ["playground", "strategies"])
                and not inside(name, allowed)
            )
        )
    ]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_file_imports_only_what_its_place_allows(file):
    assert faults(file, imports(file)) == []


@pytest.mark.parametrize(
    "file, name",
    [
        ("strategies/ops/noise.py", "playground.trace"),
        ("strategies/processors/top_k.py", "transformers.LogitsProcessor"),
        ("playground/engine/scheduler/loop.py", "plotly.graph_objects"),
        ("playground/charts/base.py", "playground.engine.Run"),
        ("playground/charts/base.py", "gradio"),
        ("playground/explain/partings.py", "playground.charts.text"),
        ("playground/explain/partings.py", "strategies.registry"),
        ("playground/metrics.py", "playground.settings"),
        ("playground/ui/page.py", "playground.api.routes"),
        ("playground/api/routes.py", "playground.ui"),
        ("playground/service.py", "gradio"),
        ("playground/html/file.py", "playground.api.routes"),
        ("playground/models/hub.py", "playground.engine.Run"),
    ],
)
def test_the_rule_sees_what_it_forbids(file, name):
    assert faults(Path(file), iter([name])) == [name]


def test_imports_are_found_wherever_they_hide():
    names = set(imports(Path("playground/trace/frame.py")))
    assert "pandas" in names and "playground.trace.lane.LaneResult" in names


@pytest.mark.parametrize(
    "file", [f for f in FILES if "playground/settings/" not in f.as_posix()], ids=str
)
def test_only_the_settings_read_the_environment(file):
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        reads = isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"}
        assert not reads, f"line {node.lineno}: put this into playground/settings"


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_name_says_what_is_inside(file):
    assert file.stem not in {"utils", "helpers", "common", "misc", "manager"}


# Each list is one new process: parts imported in order, and what must not be loaded after each.
WITHOUT = [
    [
        ("playground", ["torch", "gradio", "transformers", "plotly"]),
        ("playground.settings", ["torch", "gradio", "transformers", "plotly"]),
        ("playground.trace", ["torch", "gradio", "transformers", "plotly", "pandas"]),
        ("playground.explain.partings", ["torch", "gradio", "transformers", "plotly", "pandas"]),
        ("playground.charts", ["torch", "gradio", "transformers"]),
    ],
    [
        ("strategies.registry", ["gradio", "transformers", "plotly"]),
        ("playground.models", ["gradio", "transformers", "plotly"]),
        ("playground.service", ["gradio", "fastapi", "plotly", "transformers"]),
        ("playground.api", ["gradio", "plotly", "transformers"]),
    ],
    [
        ("playground.ui.inspector_view", ["gradio", "transformers"]),
        ("playground.html", ["gradio", "transformers", "fastapi"]),
        ("playground.ui.page", ["transformers"]),
    ],
]

IMPORTING = """
import ast, importlib, inspect, sys
stubs = []
ast.get_source_segment = lambda *given: stubs.append(given)  # how a stub of gradio's begins
for module, without in {parts!r}:
    importlib.import_module(module)
    print(module, *(name for name in without if name in sys.modules))
print(len(stubs), inspect.getfile.__module__ == "playground.ui.gradio_import")
"""


@pytest.mark.parametrize("parts", WITHOUT, ids=lambda parts: parts[-1][0])
def test_importing_a_part_loads_nothing_needless_and_writes_no_stubs(parts):
    done = subprocess.run(
        [sys.executable, "-c", IMPORTING.format(parts=parts)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [*(module for module, _ in parts), "0 False"]
