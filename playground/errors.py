"""What can go wrong with a model, in words for the page."""

import errno
from collections.abc import Iterator
from pathlib import Path


class ModelError(ValueError):
    """A model cannot be had or served; the message is a plain sentence that says why.

    Where ``folder`` is at fault the host is told which it is, by a note; visitors are not.
    """

    def __init__(self, message: str, folder: Path | None = None) -> None:
        super().__init__(message)
        self.folder = folder
        if folder is not None:
            self.add_note(f"The folder is {folder}.")


class UnsupportedModel(ValueError):
    """A model the engine would not serve correctly; the message says why."""


def first_line(error: BaseException) -> str:
    """What a library's exception says, cut to what fits a sentence; its type where it is silent."""
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".:! ") if text else type(error).__name__


def disk_is_full(error: BaseException) -> bool:
    """Whether this is what a full disk, or a quota, comes to, however a library tells it."""
    return any(
        (isinstance(each, OSError) and each.errno in (errno.ENOSPC, errno.EDQUOT))
        or "No space left on device" in str(each)
        for each in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
