"""Regular expressions as settings, and searches by them that end."""

from __future__ import annotations

from typing import Annotated

import regex
from pydantic import AfterValidator, Field

from ..base import Refusal
from ..notation import quote, shorten

SECONDS = 0.25  # for one search; an expression may otherwise take for ever


def _readable(expression: str) -> str:
    try:
        regex.compile(expression)
    except regex.error as error:
        raise ValueError(f"{quote(expression)} is no regular expression: {error}.") from None
    return expression


# A setting; where it may be empty, that is an expression as well.
Expression = Annotated[str, Field(max_length=200), AfterValidator(_readable)]


def too_slow(expression: str) -> Refusal:
    """What ends a column whose expression takes longer than that."""
    return Refusal(f"looking for {shorten(quote(expression))} takes too long; make it simpler.")
