"""Finds texts and expressions in what is being written, and where one may have begun."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import regex

from ..notation import quote, shorten
from .expressions import Patience, read

Decode = Callable[[Sequence[int]], str]

_REACH = 2_000  # characters back that a match of an expression may begin
_NEXT = ("a", "0", " ", ".", "\n")  # what may follow a match at the end, one of each kind


@dataclass(frozen=True)
class Found:
    """Where something listed stands in a text, in characters, and what it is, in a sentence."""

    start: int
    end: int
    why: str


class Phrases:
    """Texts and regular expressions to look for. ``ValueError`` where one is no expression."""

    def __init__(self, texts: Sequence[str], expressions: Sequence[str], ignore_case: bool) -> None:
        flags = regex.IGNORECASE if ignore_case else regex.V0
        self._patterns: list[tuple[regex.Pattern[str], str]] = []
        self._longest = max(map(len, texts), default=0)
        self._patience = Patience()
        if texts:
            written = "|".join(map(regex.escape, sorted(texts, key=len, reverse=True)))
            self._patterns.append((regex.compile(written, flags), ""))
        for expression in expressions:
            pattern = read(expression, flags)
            if self._matches(pattern, "", 0, whole=True):
                raise ValueError(f"{quote(expression)} matches where nothing is written.")
            self._patterns.append((pattern, expression))

    def first(self, text: str, floor: int, *, ended: bool) -> Found | None:
        """What is found first from the character ``floor`` on.

        A match at the end counts where nothing that may follow undoes it, or the text has
        ``ended``: ``"cat\\b"`` is not yet found in ``"cat"``.
        """
        found = []
        for pattern, expression in self._patterns:
            match = self._search(pattern, text, self._from(text, floor, expression))
            if match is None:
                continue
            start, end = match.span()
            if expression and end == len(text) and not ended:
                if not all(self._matches(pattern, text + more, start) for more in _NEXT):
                    continue
            by = f"matches {shorten(quote(expression))}" if expression else "is on the list"
            found.append(Found(start, end, f"{quote(match.group())} {by}."))
        return min(found, key=lambda one: one.start, default=None)

    def settled(self, decode: Decode, tokens: Sequence[int], floor: int) -> int:
        """How many of the first tokens stay, wherever the text goes back to and goes on from.

        Left out are those that something listed may yet come to begin with.
        """
        count = len(tokens)
        while count:
            start = self.begun(decode(tokens[:count]), floor)
            if start is None:
                break
            count = token_at(decode, tokens[:count], start)
        return count

    def begun(self, text: str, floor: int) -> int | None:
        """The first character, from ``floor`` on, from which something may still be found."""
        starts = []
        for pattern, expression in self._patterns:
            match = self._search(pattern, text, self._from(text, floor, expression), partial=True)
            if match is not None:
                starts.append(match.start())
        return min(starts, default=None)

    def _from(self, text: str, floor: int, expression: str) -> int:
        back = _REACH if expression else self._longest + 100  # a token is shorter than that
        return max(floor, len(text) - back, 0)

    def _search(
        self, pattern: regex.Pattern[str], text: str, start: int, partial: bool = False
    ) -> regex.Match[str] | None:
        """The first match that is of some characters, or (``partial``) may come to be."""
        found = None
        with self._patience.search(pattern.pattern) as seconds:
            every = pattern.finditer(text, start, partial=partial, timeout=seconds, concurrent=True)
            found = next((match for match in every if match.end() > match.start()), None)
        return found

    def _matches(
        self, pattern: regex.Pattern[str], text: str, start: int, whole: bool = False
    ) -> bool:
        """Whether a match begins there, or (``whole``) is all that follows."""
        found = None
        with self._patience.search(pattern.pattern) as seconds:
            match = pattern.fullmatch if whole else pattern.match
            found = match(text, start, timeout=seconds, concurrent=True)
        return found is not None


def token_at(decode: Decode, tokens: Sequence[int], character: int) -> int:
    """Which of ``tokens`` writes the character of that number, from 0."""
    low, high = 0, len(tokens) - 1
    while low < high:
        middle = (low + high) // 2
        if len(decode(tokens[: middle + 1])) > character:
            high = middle
        else:
            low = middle + 1
    return low
