"""The answer that a text comes to: what an expression finds in it last."""

from __future__ import annotations

import regex

from .expressions import SECONDS, too_slow

NUMBER = r"-?\d[\d,]*(?:\.\d+)?"


def answer(text: str, expression: str = "") -> str | None:
    """The last match, or its first group; a number, where there is no expression.

    Without commas, and trimmed, so that equal answers are equal. None where nothing is found.
    """
    try:
        every = [*regex.finditer(expression or NUMBER, text, timeout=SECONDS)]
    except TimeoutError:
        raise too_slow(expression) from None
    if not every:
        return None
    last = every[-1]
    written = str(last.group(1) if last.re.groups and last.group(1) else last.group()).strip()
    return written if expression else written.replace(",", "").removesuffix(".0")
