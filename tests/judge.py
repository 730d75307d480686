"""Which warnings fail a test: those of this project's own code, and those that its calls cause.

A filter in pyproject.toml already makes errors of warnings that Python attributes to a module of
ours. That leaves the deprecation whose caller Python cannot see, because a function of another
package stands between (a model's ``forward`` is called by ``torch.nn.Module.__call__``), and what
pytest itself reports of threads and destructors. Everything else is other people's code, which may
change any day: it is reported at the end of a run and fails nobody's.
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
# Modules whose functions call what they were handed: such a call is their caller's.
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
    """Within it, a warning that our code causes is raised; others go on to where they went."""
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
    """Whether what warned, or what it was attributed to, was called by our code.

    The file and the line are those that the warning is attributed to. What compiled code says is
    attributed to the line that called it, which may be a library's own: it is not taken for ours.
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
    """The innermost frame from this one outwards that fits."""
    while frame is not None and not fits(frame):
        frame = frame.f_back
    return frame


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
