"""A Dockerfile read instruction by instruction, and carried out on this machine without a daemon.

Images are left out: what a stage copies from another is where that one put it, so all folders that
are written to are named by arguments, which a test sets to folders of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path


def instructions(file: Path) -> Iterator[tuple[str, str]]:
    """Each instruction's name and the rest of it, its lines joined."""
    whole = re.sub(r"^\s*#.*\n", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for line in re.sub(r"\\\n\s*", " ", whole).splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield name.upper(), rest.strip()


@dataclass
class Built:
    """The result of a build: how to start the program and check its health, and its variables."""

    environment: dict[str, str]
    user: str = "root"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)


def build(file: Path, context: Path, sources: Path, arguments: Mapping[str, str]) -> Built:
    """Carry out a Dockerfile whose first stage copies from ``context`` into ``sources``.

    Raises ``CalledProcessError`` where a command of it fails.
    """
    built, given, folder = Built(dict(os.environ)), {}, sources
    for name, rest in instructions(file):
        known = {**built.environment, **given}
        if name == "FROM":
            built, given = Built(dict(os.environ)), dict(arguments)
        elif name == "ARG":
            argument, _, default = rest.partition("=")
            given.setdefault(argument, expanded(default, known))
        elif name == "ENV":
            built.environment |= {
                key: expanded(value, known) for key, value in re.findall(r"(\w+)=(\S*)", rest)
            }
        elif name == "WORKDIR":
            folder = sources if rest == "/src" else Path(expanded(rest, known))
            folder.mkdir(parents=True, exist_ok=True)
        elif name == "COPY" and not rest.startswith("--from="):
            *copied, target = rest.split()
            for source in copied:
                _copy(context / source, folder / target / (source if target == "./" else ""))
        elif name == "RUN":
            subprocess.run(["sh", "-euc", rest], cwd=folder, env=known, check=True)
        elif name == "USER":
            built.user = rest
        elif name == "ENTRYPOINT":
            built.entrypoint = json.loads(rest)
        elif name == "CMD":
            built.command = json.loads(rest)
        elif name == "HEALTHCHECK":
            built.healthcheck = json.loads(rest.partition("CMD ")[2])
    return built


def expanded(text: str, known: Mapping[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda name: known.get(name[1], ""), text)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)
