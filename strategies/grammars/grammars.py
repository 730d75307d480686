"""What the grammars of a program share: the vocabularies of its models, and the trials."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from functools import lru_cache

from llguidance import LLMatcher, LLParserLimits

from . import trial
from .grammar import Grammar
from .matching import NO_TEXT, Matching, Unfit, reason
from .vocabulary import Vocabulary

_VOCABULARIES = 4  # models whose vocabularies are kept


class Grammars:
    """Tries grammars out, and begins texts that follow them. Any thread may call it.

    A program makes one and passes it to all lanes in their ``Context``. Grammars are tried out by a
    subprocess, which starts when it is first needed and ends with ``close``, with this object, or
    with the program. A fork makes its own.
    """

    def __init__(self) -> None:
        self._trials = trial.Trials()
        self._vocabularies = lru_cache(_VOCABULARIES)(Vocabulary.of)
        self._making = threading.Lock()
        weakref.finalize(self, self._trials.close)

    def vocabulary(
        self, text: Callable[[], str] | None, size: int, ends: tuple[int, ...]
    ) -> Vocabulary:
        """One for every model, whoever asks; see ``Vocabulary.of``.

        ``text`` is None where it is not known, which is a ``ValueError``. Making one takes a
        quarter of a second, with Python's lock held: it is done by one thread at a time.
        """
        if text is None or not ends:
            raise ValueError("the bytes of this model's tokens are not known, or no token ends it.")
        with self._making:
            return self._vocabularies(text, size, ends)

    def begin(self, vocabulary: Vocabulary, grammar: Grammar) -> Matching:
        """The empty text. Raises ``Unfit`` where nothing matches, or the bounds are passed."""
        fault = self._trials.fault(vocabulary, grammar.written)
        if fault:
            raise Unfit(reason(fault))
        limits = LLParserLimits(**trial.LIMITS)
        matcher = LLMatcher(vocabulary.tokenizer, grammar.written, log_level=0, limits=limits)
        if matcher.is_error():
            raise Unfit(reason(matcher.get_error()))
        return Matching(vocabulary, grammar.written, matcher)

    def reaches(self, vocabulary: Vocabulary, grammar: Grammar, bytes: int) -> bool:
        """Whether a text that matches may be this many bytes long, as far as the bounds allow to
        find out.
        """
        if bytes > grammar.longest:
            return False
        if grammar.at_least is None:
            return True
        return not self._trials.fault(vocabulary, grammar.at_least(bytes)).startswith(NO_TEXT)

    def close(self) -> None:
        """End the subprocess; every call that waits for it returns."""
        self._trials.close()
