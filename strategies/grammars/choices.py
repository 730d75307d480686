"""A list of texts, one of which is written, as a grammar of llguidance."""

from __future__ import annotations

from collections.abc import Sequence

from .grammar import Grammar, check_text, exactly, of_lark


def of_choices(choices: Sequence[str]) -> Grammar:
    """One of these texts, as it stands."""
    for choice in choices:
        check_text(choice)
    longest = max(len(choice.encode()) for choice in choices)
    return Grammar(of_lark(f"start: /{'|'.join(map(exactly, choices))}/"), longest)
