"""Runs the tests against one end of every range in pyproject.toml, in an environment made for it.

    python -m tests.versions newest               # what an index serves today
    python -m tests.versions oldest               # the lowest version of every range
    python -m tests.versions oldest --keep torch  # torch alone as in requirements.txt

All further arguments go to pytest. The environment is of the Python that runs this, which needs no
packages installed, and is removed afterwards (--folder keeps it). The exit status is pytest's,
whose summary reports every warning.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent

_RANGE = re.compile(r"([A-Za-z0-9-]+)>=([0-9.]+),<[0-9.]+")


def ranges() -> dict[str, str]:
    """The supported ranges of the project and its tests: ``>=oldest,<beyond``, by name."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = table["project"]["dependencies"] + table["dependency-groups"]["tests"]
    return {line[: line.index(">")]: line[line.index(">") :] for line in lines}


def pins(file: str = "tests/requirements.txt") -> dict[str, str]:
    """The tested versions, by name: those in a requirements file and in the files it includes."""
    found: dict[str, str] = {}
    for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            found |= pins(str((ROOT / file).parent.joinpath(line[3:]).resolve().relative_to(ROOT)))
        elif line and not line.startswith("#"):
            name = re.match(r"[A-Za-z0-9-]+", line)
            assert name, line
            found[name[0]] = line[name.end() :]
    return found


def wanted(end: str, keep: list[str]) -> dict[str, str]:
    """Versions for a run against one end of the ranges; ``keep`` stay at their tested versions."""
    found = {}
    for name, versions in ranges().items():
        if name in keep:
            found[name] = pins()[name]
        elif end == "oldest":
            found[name] = versions.split(",")[0].replace(">=", "==")
        else:
            found[name] = versions
    return found


def asked(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options of a command line, and its other arguments, which are for pytest."""
    parser = argparse.ArgumentParser(prog="python -m tests.versions", allow_abbrev=False)
    parser.add_argument("end", choices=["newest", "oldest"])
    parser.add_argument(
        "--keep", action="append", default=[], choices=sorted(ranges()), metavar="NAME"
    )
    parser.add_argument(
        "--folder", type=Path, help="keep the environment, and use it if it is there"
    )
    return parser.parse_known_args(arguments)


def main(arguments: list[str]) -> int:
    options, for_pytest = asked(arguments)
    with tempfile.TemporaryDirectory(prefix="versions-") as temporary:
        folder = options.folder or Path(temporary)
        python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        if not python.exists():
            venv.create(folder, with_pip=True, symlinks=sys.platform != "win32")
        lines = [name + versions for name, versions in wanted(options.end, options.keep).items()]
        subprocess.run([python, "-m", "pip", "install", "-q", "--upgrade", *lines], check=True)
        done = subprocess.run([python, "-m", "pytest", *for_pytest], cwd=ROOT)
        print(report(options.end, installed(python)))
        return done.returncode


def installed(python: Path) -> dict[str, str]:
    """The versions in an environment, by name in lower case."""
    command = [python, "-m", "pip", "list", "--format", "json"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return {each["name"].lower().replace("_", "-"): each["version"] for each in listed}


def report(end: str, found: dict[str, str]) -> str:
    """A table of the versions of a run, beside the supported range and the tested version."""
    lines = [f"\nRun with the {end} of every range, Python {sys.version.split()[0]}:"]
    for name, versions in ranges().items():
        lines.append(f"  {name:22} {found[name]:14} of {versions:16} tested {pins()[name]}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
