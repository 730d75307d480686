"""The tags between which a model thinks, as its chat template has them."""

from __future__ import annotations

import re

_TAG = re.compile(
    r"(?P<open>[<\[])(?P<close>/?)(?P<name>(?:\w+:)?(?:think|thinking|thought|reason|reasoning))"
    r"[>\]]",
    re.IGNORECASE,
)


def tags(template: str | None) -> tuple[str, str] | None:
    """The first pair of an opening and a closing tag that a template names; None without one."""
    found: dict[tuple[str, str], dict[bool, str]] = {}
    for match in _TAG.finditer(template or ""):
        pair = found.setdefault((match["open"], match["name"]), {})
        pair.setdefault(bool(match["close"]), match[0])
    pairs = [(pair[False], pair[True]) for pair in found.values() if len(pair) == 2]
    return pairs[0] if pairs else None
