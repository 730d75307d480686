"""The tokens of a model, as the library that follows grammars knows them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from llguidance import LLTokenizer


@dataclass(frozen=True)
class Vocabulary:
    """A model's tokens: ``text`` gives the JSON of its tokenizer, ``ends`` are what ends a text.

    ``key`` tells it from another's, and ``size`` counts its scores.
    """

    key: str
    text: Callable[[], str]
    size: int
    ends: tuple[int, ...]
    tokenizer: LLTokenizer

    @classmethod
    def of(cls, text: Callable[[], str], size: int, ends: tuple[int, ...]) -> Vocabulary:
        """The vocabulary of a tokenizer; ``ValueError`` where the bytes of its tokens are unknown.

        ``text`` gives it as the JSON of the tokenizers library.
        """
        written = text()
        try:
            tokenizer = LLTokenizer(written, n_vocab=size, eos_token=list(ends))
        except ValueError as error:
            raise ValueError(f"the bytes of this model's tokens are not known: {error}.") from None
        key = hashlib.sha256(f"{size} {ends} {written}".encode()).hexdigest()
        return cls(key, text, size, ends, tokenizer)
