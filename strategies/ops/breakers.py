"""Where given texts end in a row: within a token that holds more, or across several tokens."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from ..base import Context


class Breakers:
    """Finds the tokens in which one of ``texts`` ends, as llama.cpp and vLLM look for them.

    A token that holds a text with more around it counts. Each token is decoded once.
    """

    def __init__(self, texts: Sequence[str], context: Context) -> None:
        self._alone, self._crossing = tuple(texts), [text for text in texts if len(text) > 1]
        # A token's text is what it adds to a letter: some tokenizers drop a text's first space.
        self._letter, self._decode = context.encode("a"), context.decode
        self._head = self._decode(self._letter)
        self._written: dict[int, str] = {}
        self._broken: set[int] = set()

    def __call__(self, tokens: Sequence[int]) -> list[bool]:
        """Of each token of a text, whether one of the texts ends in it."""
        for token in set(tokens) - self._written.keys():
            text = self._decode([*self._letter, token]).removeprefix(self._head)
            self._written[token] = text
            if any(breaker in text for breaker in self._alone):
                self._broken.add(token)
        found = [token in self._broken for token in tokens]
        if self._crossing:
            written = [self._written[token] for token in tokens]
            whole, ends = "".join(written), list(accumulate(map(len, written)))
            for breaker in self._crossing:
                at = whole.find(breaker)
                while at >= 0:
                    found[bisect_left(ends, at + len(breaker))] = True
                    at = whole.find(breaker, at + 1)
        return found
