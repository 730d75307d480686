"""The tags between which a model thinks, as its chat template has them, and what is between."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..base import Context, Row
from .spellings import spellings

Sequences = Sequence[tuple[int, ...]]

_TAG = re.compile(
    r"(?P<open>[<\[])(?P<close>/?)(?P<name>(?:\w+:)?(?:think|thinking|thought|reason|reasoning))"
    r"[>\]]",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Tags:
    """The tokens that write the tags of a model's thinking, and those that end it for the model."""

    begins: Sequences
    ends: Sequences
    last: tuple[int, ...]

    @classmethod
    def of(cls, context: Context, opening: str, closing: str, words: str) -> Tags:
        """Those given, else those of the chat template; ``ValueError`` where there are none.

        ``words`` are written before the closing tag.
        """
        read = tags(context.chat_template) or ("", "")
        opening, closing = opening or read[0], closing or read[1]
        if not (opening and closing):
            raise ValueError(
                "this model's chat template has no tags to think between; give opening and closing."
            )
        ends = tuple(context.encode(closing))
        last = (*context.encode(words), *ends) if words else ends
        return cls(spellings(context, opening), [ends, *spellings(context, closing)], last)

    def thought(self, row: Row) -> tuple[tuple[int, ...], bool]:
        """What was thought last after the prompt, without its tags, and whether it goes on."""
        return thinking(row.tokens, row.prompt_length, self.begins, self.ends)

    def due(self, row: Row, most: int) -> int | None:
        """The token that must follow once ``most`` tokens were thought; None before."""
        thought, goes_on = self.thought(row)
        if not goes_on or len(thought) < most:
            return None
        counts = range(min(len(thought), len(self.last) - 1), 0, -1)
        written = next((n for n in counts if thought[-n:] == self.last[:n]), 0)
        return self.last[written]


def tags(template: str | None) -> tuple[str, str] | None:
    """The first pair of an opening and a closing tag that a template names; None without one."""
    found: dict[tuple[str, str], dict[bool, str]] = {}
    for match in _TAG.finditer(template or ""):
        pair = found.setdefault((match["open"], match["name"]), {})
        pair.setdefault(bool(match["close"]), match[0])
    pairs = [(pair[False], pair[True]) for pair in found.values() if len(pair) == 2]
    return pairs[0] if pairs else None


def thinking(
    tokens: tuple[int, ...], first: int, begins: Sequences, ends: Sequences
) -> tuple[tuple[int, ...], bool]:
    """What was thought last, from token ``first`` on, without its tags, and whether it goes on.

    ``begins`` and ``ends`` are the sequences of tokens that write the tags.
    """
    begun, ended = _end_of_last(tokens, begins), _end_of_last(tokens, ends)
    if begun > ended:
        return tokens[max(begun, first) :], True
    tag = next((len(s) for s in ends if tokens[ended - len(s) : ended] == s), 0)
    begun = _end_of_last(tokens[: ended - tag], begins)
    return tokens[max(begun, first) : ended - tag], False


def _end_of_last(tokens: tuple[int, ...], sequences: Sequences) -> int:
    """Where the last of these sequences ends in ``tokens``; 0 where none does."""
    lasts = {sequence[-1] for sequence in sequences if sequence}
    for end in range(len(tokens), 0, -1):
        if tokens[end - 1] in lasts and any(tokens[end - len(s) : end] == s for s in sequences):
            return end
    return 0
