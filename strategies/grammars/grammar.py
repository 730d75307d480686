"""What a text keeps to, as llguidance reads it, and what is known of its size."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from llguidance import LLMatcher


@dataclass(frozen=True)
class Grammar:
    """A set of texts: ``written`` as llguidance reads it.

    None of them has more than ``longest`` bytes, where that is known. ``at_least``, where there is
    one, gives for a number of bytes the grammar of those that have as many, and maybe of others.
    """

    written: str
    longest: float = math.inf
    at_least: Callable[[int], str] | None = None


def of_lark(lark: str) -> str:
    """A grammar in llguidance's form from one in its variant of Lark's notation.

    Where bytes are forced the library would leave the one way that its own tokenizer cuts them:
    here every way is left.
    """
    return LLMatcher.grammar_from_lark(f'%llguidance {{"no_forcing": true}}\n{lark}')


def exactly(text: str) -> str:
    """The expression that matches ``text`` alone, to stand between slashes."""
    return "".join(c if c.isascii() and c.isalnum() else rf"\x{{{ord(c):x}}}" for c in text)


def check_text(text: str) -> None:
    """Raise ``ValueError`` for a text that has no bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it has half of a character in it.") from None


def begins(expression: str) -> Grammar:
    """Texts that begin with what an expression matches."""
    check_text(expression)
    return Grammar(of_lark(f"start: /{expression}(?s:.*)/"))
