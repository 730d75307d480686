"""The answer that a text comes to: what an expression finds in it last."""

from __future__ import annotations

import regex

from ..base import Refusal
from ..notation import quote, shorten

NUMBER = r"-?\d[\d,]*(?:\.\d+)?"
_SECONDS = 0.25  # for one text


def answer(text: str, expression: str = "") -> str | None:
    """The last match, or its first group; a number, where there is no expression.

    Without commas, and trimmed, so that equal answers are equal. None where nothing is found.
    """
    try:
        every = [*regex.finditer(expression or NUMBER, text, timeout=_SECONDS)]
    except TimeoutError:
        raise Refusal(
            f"looking for {shorten(quote(expression))} takes too long; make it simpler."
        ) from None
    if not every:
        return None
    last = every[-1]
    written = str(last.group(1) if last.re.groups and last.group(1) else last.group()).strip()
    return written if expression else written.replace(",", "").removesuffix(".0")
