"""Errors about models, whose messages are written for the page."""

import errno
from collections.abc import Iterator
from pathlib import Path


class ModelError(ValueError):
    """A model cannot be loaded or served; the message is a plain sentence that says why.

    Where ``folder`` is at fault, a note of the exception names it: for the host's log, since the
    message is shown to visitors.
    """

    def __init__(self, message: str, folder: Path | None = None) -> None:
        super().__init__(message)
        self.folder = folder
        if folder is not None:
            self.add_note(f"The folder is {folder}.")


class UnsupportedModel(ValueError):
    """A model that the engine could not serve correctly; the message says why."""


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, shortened; the type's name where it has none."""
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".:! ") if text else type(error).__name__


def disk_is_full(error: BaseException) -> bool:
    """Whether an exception means a full disk or a used-up quota, whichever library raised it."""
    return any(
        (isinstance(each, OSError) and each.errno in (errno.ENOSPC, errno.EDQUOT))
        or "No space left on device" in str(each)
        for each in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
