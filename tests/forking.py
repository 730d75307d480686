"""Programs that each need a process of their own, forked from one that has imported what is slow.

``python -m tests.forking torch …`` imports these modules, and then runs a module for every line it
is sent, in a fork of itself. Nothing of this project is imported before the fork.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Ended:
    """A program that has ended: its exit status, and all that it printed."""

    status: int
    output: str


class Forking:
    """A process in which ``modules`` are imported, and the programs that it becomes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, module: str, *arguments: str, **environment: str) -> Ended:
        """What ``python -m module arguments`` does with these variables of the environment."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps([module, arguments, environment]), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, f"the process that forks has ended: {self._process.poll()}"
        return Ended(*json.loads(line))


@contextmanager
def forking(*modules: str) -> Iterator[Forking]:
    command = [sys.executable, "-m", "tests.forking", *modules]
    with subprocess.Popen(command, cwd=ROOT, stdin=-1, stdout=-1, text=True) as process:
        yield Forking(process)  # whose input is closed then, at which it ends


def _fork(module: str, arguments: list[str], environment: dict[str, str]) -> tuple[int, str]:
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:
        child = os.fork()
        if child == 0:
            for stream in (1, 2):
                os.dup2(printed.fileno(), stream)
            os.environ |= environment
            os._exit(_status(module, arguments))
        _, status = os.waitpid(child, 0)
        printed.seek(0)
        return os.waitstatus_to_exitcode(status), printed.read()


def _status(module: str, arguments: list[str]) -> int:
    """The exit status of a module that is run as a program."""
    ended: Any = 0
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        ended = end.code or 0
    except BaseException:
        traceback.print_exc()
        ended = 1
    if not isinstance(ended, int):
        print(ended, file=sys.stderr)
        ended = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return ended


if __name__ == "__main__":
    for name in sys.argv[1:]:
        importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(_fork(*json.loads(line))), flush=True)
    os._exit(0)  # without taking apart, one by one, what was imported
