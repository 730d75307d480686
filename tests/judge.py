"""Which warnings fail a test: those of this project's own code, and those that its calls cause.

A filter in pyproject.toml already turns warnings into errors that Python attributes to a module of
this project. Two kinds are left: a deprecation that Python attributes to another package, because a
function of that package is between (``torch.nn.Module.__call__`` calls a model's ``forward``), and
what pytest reports of threads and destructors. All other warnings are about other people's code,
which may change any day: they are listed at the end of a run, and fail no test.
"""

from __future__ import annotations

import linecache
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent

_OURS = re.compile(r"(app|playground|strategies|tests)(\.|$)")
_OUR_FILE = re.compile(rf"{re.escape(str(ROOT))}/(app\.py|(playground|strategies|tests)/)")
# Modules whose functions call a function they were given: that call counts as their caller's.
_PASSES_ON = re.compile(
    r"(_?contextlib|functools|torch\.(nn\.modules\.module|utils\._contextlib))$"
)
_DEPRECATIONS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
_REPORTS = (
    pytest.PytestUnhandledThreadExceptionWarning,
    pytest.PytestUnraisableExceptionWarning,
)


@contextmanager
def judged() -> Iterator[None]:
    """Within it, a warning that this project's code causes is raised; others are passed on."""
    shown = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        if isinstance(message, _DEPRECATIONS):
            if _caused_here(sys._getframe(1), filename, lineno):
                raise message
        elif isinstance(message, _REPORTS) and _OUR_FILE.search(str(message)):
            raise message
        shown(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = shown


def _caused_here(innermost: FrameType | None, filename: str, lineno: int) -> bool:
    """Whether this project's code called the function that warned, or the one it is attributed to.

    The file and the line are those that the warning is attributed to. For a warning of compiled
    code that is the line of the call, which may be a library's: it does not count as ours.
    """
    warned = _first(innermost, lambda frame: not _module(frame).endswith("warnings"))
    attributed = _first(
        warned, lambda frame: (frame.f_code.co_filename, frame.f_lineno) == (filename, lineno)
    )
    if warned is None or (
        attributed is warned and "warn" not in linecache.getline(filename, lineno)
    ):
        return False
    callers = (_passed_on(warned and warned.f_back), _passed_on(attributed))
    return any(frame is not None and bool(_OURS.match(_module(frame))) for frame in callers)


def _passed_on(frame: FrameType | None) -> FrameType | None:
    return _first(frame, lambda each: not _PASSES_ON.search(_module(each)))


def _first(frame: FrameType | None, fits: Callable[[FrameType], bool]) -> FrameType | None:
    """The innermost frame, from this one outwards, that ``fits``."""
    while frame is not None and not fits(frame):
        frame = frame.f_back
    return frame


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
