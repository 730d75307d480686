"""The wheel: all of the two packages is in it, and it brings the command."""

from __future__ import annotations

import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from hatchling.build import build_wheel
from packaging.requirements import Requirement

from tests import versions

ROOT = versions.ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        name = build_wheel(str(folder))
    return zipfile.ZipFile(folder / name)


def told(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def test_every_file_of_the_packages_is_in_it_and_no_other(wheel: zipfile.ZipFile) -> None:
    files = {
        file.relative_to(ROOT).as_posix()
        for package in ("playground", "strategies")
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == files
    endings = {Path(name).suffix for name in packed}
    assert {".py", ".js", ".css", ".html", ".json"} <= endings
    assert "playground/ui/recorded.json" in packed


def test_it_brings_the_command_and_the_licence(wheel: zipfile.ZipFile) -> None:
    rest = {name.rpartition(".dist-info/")[2]: name for name in wheel.namelist()}
    entry = wheel.read(rest["entry_points.txt"]).decode()
    assert "decoding-playground = playground.cli:main" in entry
    assert "licenses/LICENSE" in rest
    assert told(wheel)["License-Expression"] == "Apache-2.0"


def test_it_asks_for_what_the_program_needs(wheel: zipfile.ZipFile) -> None:
    needs = [Requirement(line) for line in told(wheel).get_all("Requires-Dist") or []]
    plain = {need.name for need in needs if need.marker is None}
    assert plain == versions.pins("requirements.txt").keys()
    assert [str(need.marker) for need in needs if need.name == "mcp"] == ['extra == "mcp"']
