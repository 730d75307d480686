"""The answer that a text comes to: what an expression finds in it last."""

from __future__ import annotations

from .expressions import Patience, read

NUMBER = r"-?\d[\d,]*(?:\.\d+)?"


def answers(texts: list[str], expression: str = "") -> list[str | None]:
    """Of each text the last match, or its first group; a number, where there is no expression.

    Without commas, and trimmed, so that equal answers are equal. None where nothing is found.
    """
    pattern, patience = read(expression or NUMBER), Patience()
    found: list[str | None] = []
    for text in texts:
        last = None
        with patience.search(expression) as seconds:
            for match in pattern.finditer(text, timeout=seconds, concurrent=True):
                last = match
        if last is None:
            found.append(None)
            continue
        first = last.group(1) if pattern.groups else None
        written = str(first or last.group()).strip()
        found.append(written if expression else written.replace(",", "").removesuffix(".0"))
    return found
