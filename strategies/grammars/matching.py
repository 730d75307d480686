"""Which tokens may follow a text, so that it can still come to match a grammar."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from torch import Tensor

from . import trial
from .grammar import Grammar


@dataclass(frozen=True)
class Vocabulary:
    """A model's tokens: ``text`` gives the JSON of its tokenizer, ``ends`` are what ends a text."""

    key: str
    text: Callable[[], str]
    size: int
    ends: tuple[int, ...]
    tokenizer: LLTokenizer


def vocabulary(text: Callable[[], str] | None, size: int, ends: tuple[int, ...]) -> Vocabulary:
    """One for every model, whoever asks; ``ValueError`` where the bytes of its tokens are unknown.

    Made in a quarter of a second, of which Python's lock is held: by one thread at a time.
    """
    if text is None or not ends:
        raise ValueError("the bytes of this model's tokens are not known, or no token ends it.")
    with _making:
        return _vocabulary(text, size, ends)


@lru_cache(maxsize=4)
def _vocabulary(text: Callable[[], str], size: int, ends: tuple[int, ...]) -> Vocabulary:
    written = text()
    try:
        tokenizer = LLTokenizer(written, n_vocab=size, eos_token=list(ends))
    except ValueError as error:
        raise ValueError(f"the bytes of this model's tokens are not known: {error}.") from None
    key = hashlib.sha256(f"{size} {ends} {written}".encode()).hexdigest()
    return Vocabulary(key, text, size, ends, tokenizer)


_making = threading.Lock()
_NO_TEXT = "NoExtension"  # so begins the library's message
NO_TOKEN = "none of the model's tokens goes on with the text."
_OWN = (trial.SLOW, trial.LARGE, trial.DEEP, trial.UNKNOWN)
_SENTENCES = {
    "recursion limit exceeded": trial.DEEP,
    "too deeply nested": trial.DEEP,
    "too many states": "the text and all that may follow it are more than can be kept track of; "
    "make it simpler.",
    "lookarounds": r"\b, \B and the like look around them, which cannot be followed.",
    "oneOf constraints": "oneOf is followed only where no two of its choices can hold; use anyOf.",
    "fuel": "finding what may follow takes too long; make it simpler.",
    "items; max is": "it allows too much at once to be followed; make it simpler.",
    "too many items": "finding what may follow takes too long; make it simpler.",
}


class Unfit(ValueError):
    """A grammar that cannot be followed; the message is the sentence a person reads."""


@dataclass(frozen=True)
class Matching:
    """A text as far as a grammar has followed it: a value, which a longer text's is made from.

    Without a ``matcher`` it goes no further: it has ``ended``, or there is a ``fault``, or it does
    not match any more. Texts that come from one ``begin`` share what the library has built, which
    is bounded for them together.
    """

    vocabulary: Vocabulary
    grammar: str
    matcher: LLMatcher | None = field(compare=False)
    tokens: tuple[int, ...] = ()
    ended: bool = False
    fault: str = field(default="", compare=False)

    @classmethod
    def begin(cls, vocabulary: Vocabulary, grammar: Grammar) -> Matching:
        """The empty text. Raises ``Unfit`` where nothing matches, or the bounds are passed."""
        written = grammar.written
        fault = trial.trials().fault(vocabulary, written)
        if fault:
            raise Unfit(reason(fault))
        limits = LLParserLimits(**trial.LIMITS)
        matcher = LLMatcher(vocabulary.tokenizer, written, log_level=0, limits=limits)
        if matcher.is_error():
            raise Unfit(reason(matcher.get_error()))
        return cls(vocabulary, written, matcher)

    def after(self, token: int) -> Matching:
        """The text with one more token."""
        longer = replace(self, tokens=(*self.tokens, token))
        if self.matcher is None:
            return longer
        if token in self.vocabulary.ends:
            return replace(longer, matcher=None, ended=self.matcher.is_accepting())
        matcher = self.matcher.deep_copy()
        if matcher.try_consume_tokens([token]):
            return replace(longer, matcher=matcher)
        fault = reason(matcher.get_error()) if matcher.is_error() else ""
        return replace(longer, matcher=None, fault=fault)

    def allowed(self) -> Tensor:
        """Tokens that may follow, bool ``[size]``: none where the text cannot be followed."""
        if self.matcher is None:
            kept = torch.zeros(self.vocabulary.size, dtype=torch.bool)
            kept[[end for end in self.vocabulary.ends if end < len(kept)]] = self.ended
            return kept
        flags = torch.frombuffer(bytearray(self.matcher.compute_logit_bias()), dtype=torch.uint8)
        kept = flags[: self.vocabulary.size] > 0
        if self.matcher.is_error():  # the mask lets the text end then, wherever it stands
            return kept & False
        if not self.matcher.is_accepting():  # a grammar may name a token that ends texts
            kept[[end for end in self.vocabulary.ends if end < len(kept)]] = False
        return kept

    @property
    def accepted(self) -> bool:
        """Whether it matches as it is."""
        return self.matcher is not None and self.matcher.is_accepting()

    @property
    def whole(self) -> bool:
        """Whether it matches, and nothing but its end may follow."""
        return self.matcher is not None and self.matcher.is_stopped() and not self.stuck

    @property
    def stuck(self) -> str:
        """Why it cannot be followed, in a sentence; empty where it can, or matches no more."""
        if self.matcher is None or not self.matcher.is_error():
            return self.fault
        fault = self.matcher.get_error()
        return NO_TOKEN if fault.startswith(_NO_TEXT) else reason(fault)


def reaches(vocabulary: Vocabulary, grammar: Grammar, bytes: int) -> bool:
    """Whether a text that matches may have so many bytes, for all that is found out in bounds."""
    if bytes > grammar.longest:
        return False
    if grammar.at_least is None:
        return True
    return not trial.trials().fault(vocabulary, grammar.at_least(bytes)).startswith(_NO_TEXT)


def reason(fault: str) -> str:
    """The one line of a fault's several that says what it is, as a sentence."""
    if fault.startswith(_NO_TEXT):
        return "there is no text that matches."
    lines = fault.splitlines()
    what = next((line for line in lines if line.startswith("error: ")), lines[0])
    what = what.removeprefix("error: ").rpartition("failed to compile JSON schema: ")[2].rstrip(".")
    for known, sentence in _SENTENCES.items():
        if known in what:
            return sentence
    return what + "." if fault in _OWN else f"it cannot be matched: {what}."
