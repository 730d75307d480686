"""Regular expressions as settings, and searches by them that end."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from time import thread_time
from typing import Annotated

import regex
from pydantic import AfterValidator, Field

from ..base import Refusal
from ..notation import quote, shorten

SECONDS = 0.25  # for all searches of a column; an expression may otherwise take for ever
_FREE = 0.002  # of one search, so that a long text is read to its end
_LARGEST = 100_000  # characters of an expression whose repeats are written out

_COUNTS = re.compile(r"(.)\{\s*([0-9]+)", re.DOTALL)
_BEHIND_A_GROUP = frozenset(")}?+*")  # and white space, which an expression may ignore


def read(expression: str, flags: int = 0) -> regex.Pattern[str]:
    """A compiled expression; ``ValueError`` where it is none, or is too large to compile.

    The package writes counted repeats out, those of repeats as well.
    """
    if _written_out(expression) > _LARGEST:
        raise ValueError(f"{shorten(quote(expression))} repeats too much; let it repeat less.")
    try:
        return regex.compile(expression, flags, cache_pattern=False)
    except regex.error as error:
        reason = str(error)
    except RecursionError:
        reason = "it is nested too deeply"
    raise ValueError(f"{shorten(quote(expression))} is no regular expression: {reason}.")


def _written_out(expression: str) -> int:
    """Its length with all repeats written out, or more: as if each group's held all others."""
    single, product = 1, 1
    for before, count in _COUNTS.findall(expression):
        if before in _BEHIND_A_GROUP or before.isspace():
            product *= max(1, int(count))
        else:
            single = max(single, int(count))
    return len(expression) * single * product


def _readable(expression: str) -> str:
    read(expression)
    return expression


# A setting; where it may be empty, that is an expression as well.
Expression = Annotated[str, Field(max_length=200), AfterValidator(_readable)]


class Patience:
    """How long the searches of a column may take, all together.

    They hold up the step of everybody's columns. Counted are the seconds of their own thread, so
    that a busy machine takes none of them.
    """

    def __init__(self) -> None:
        self._left = SECONDS

    @contextmanager
    def search(self, expression: str) -> Iterator[float]:
        """For one search, which is given the most seconds it may take; ``Refusal`` beyond them."""
        began = thread_time()
        try:
            yield 2 * self._left  # by a clock that counts other threads as well
        except TimeoutError:
            self._left = -math.inf
        self._left -= max(0.0, thread_time() - began - _FREE)
        if self._left <= 0:
            raise Refusal(
                f"looking for {shorten(quote(expression))} takes too long; make it simpler."
            )
