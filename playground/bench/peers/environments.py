"""The environments in which other programs are installed: this one, and others that are named.

Some cannot be installed beside this program, since they need other versions of the same packages.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from playground.bench.peers.task import Absent

NOT_INSTALLED = "not installed here"


@dataclass(frozen=True)
class Environments:
    """This Python's, then those of the folders that were named, then what is on the path."""

    folders: tuple[Path, ...] = ()

    def python_with(self, package: str) -> tuple[str, str]:
        """The Python of the first that has ``package``, and the version. Raises ``Absent``."""
        for python in (sys.executable, *(str(_bin(folder) / "python") for folder in self.folders)):
            code = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
            found = subprocess.run([python, "-c", code], capture_output=True, text=True)
            if found.returncode == 0:
                return python, found.stdout.strip()
        raise Absent(NOT_INSTALLED)

    def command(self, name: str) -> str:
        """The first program of this name. Raises ``Absent``."""
        folders: Sequence[Path] = (Path(sys.executable).parent, *map(_bin, self.folders))
        found = next(filter(None, (shutil.which(name, path=str(at)) for at in folders)), None)
        found = found or shutil.which(name)
        if found is None:
            raise Absent(NOT_INSTALLED)
        return found


def _bin(folder: Path) -> Path:
    return folder / ("Scripts" if sys.platform == "win32" else "bin")
