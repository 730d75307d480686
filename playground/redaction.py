"""Keeps visitors' texts out of everything that is printed, whichever library prints it.

An exception's message may quote a visitor's text, and a library's log line may name a file or a
model that a visitor typed. So only the type of an exception and its place in the code are printed,
and of a library's log record the message without its arguments, and its place.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

log = logging.getLogger(__name__)

_OWN = ("playground", "strategies")


def trace(error: BaseException | None) -> str:
    """The tracebacks of an exception and its causes, with their types but not their messages."""
    return "\n".join(_lines(error, []))


def redact() -> None:
    """Redact from now on, in the whole process."""
    made = logging.getLogRecordFactory()

    def record(*given: Any, **named: Any) -> logging.LogRecord:
        found = made(*given, **named)
        if found.name.split(".")[0] not in _OWN:
            # A message without arguments may have a text formatted into it: print only its place.
            source = f"{found.filename}:{found.lineno}"
            message = found.msg if found.args else "a message"
            found.msg, found.args = f"{message} ({found.name}, {source})", ()
            if found.exc_info:
                found.exc_text, found.exc_info = trace(found.exc_info[1]), None
            found.stack_info = None
        return found

    logging.setLogRecordFactory(record)
    sys.unraisablehook = _unraisable
    threading.excepthook = _in_thread
    warnings.showwarning = _warned


def _lines(error: BaseException | None, seen: list[BaseException]) -> Iterator[str]:
    if error is None or any(error is one for one in seen):
        return
    seen.append(error)
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    yield from _lines(before, seen)
    yield from (line.rstrip("\n") for line in traceback.format_tb(error.__traceback__))
    yield type(error).__qualname__
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _lines(each, seen)


def _unraisable(given: Any) -> None:
    log.error("an exception had nowhere to go", exc_info=given.exc_value)


def _in_thread(given: threading.ExceptHookArgs) -> None:
    name = given.thread.name.split("-")[0] if given.thread else "unnamed"
    log.error("a thread (%s) ended with an exception", name, exc_info=given.exc_value)


def _warned(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *more: object
) -> None:
    log.warning("%s at %s:%d", category.__name__, filename, lineno)
