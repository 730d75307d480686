"""Which tokens may follow a text, so that it can still come to match a grammar."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from llguidance import LLMatcher
from torch import Tensor

from . import trial
from .vocabulary import Vocabulary

NO_TEXT = "NoExtension"  # so begins the library's message
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
    not match any more. Texts that come from one
    ``Grammars.begin`` share what the library has built, which
    is bounded for them together.
    """

    vocabulary: Vocabulary
    grammar: str
    matcher: LLMatcher | None = field(compare=False)
    tokens: tuple[int, ...] = ()
    ended: bool = False
    fault: str = field(default="", compare=False)

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
        return NO_TOKEN if fault.startswith(NO_TEXT) else reason(fault)


def reason(fault: str) -> str:
    """The one line of a fault's several that says what it is, as a sentence."""
    if fault.startswith(NO_TEXT):
        return "there is no text that matches."
    lines = fault.splitlines()
    what = next((line for line in lines if line.startswith("error: ")), lines[0])
    what = what.removeprefix("error: ").rpartition("failed to compile JSON schema: ")[2].rstrip(".")
    for known, sentence in _SENTENCES.items():
        if known in what:
            return sentence
    return what + "." if fault in _OWN else f"it cannot be matched: {what}."
