"""The token sequences that write a text, by which every setting that is a text is meant."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from ..base import Context
from ..notation import quote, unfindable


def _findable(text: str) -> str:
    if (fault := unfindable(text)) is not None:
        raise ValueError(f"{quote(text)} {fault}")
    return text


# What names a token, or several in turn.
Text = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_findable)]

# Texts that another may follow within: a tokenizer may merge one of them with what follows, may put
# a space behind it, or may not know it. Letters come first, since a word goes on after those alone.
_ANCHORS = ("a", "\n", "x", "q", "0", ".")


def spellings(context: Context, text: str) -> list[tuple[int, ...]]:
    """The sequences of token ids that write ``text``, the shortest first.

    At the beginning of a text, after a space, and in the middle of a word, each as the tokenizer
    cuts it there, since many tokenizers begin a text in another way than they go on. A sequence
    that ends in another is left out: a row that ends in it ends in the shorter one as well. A text
    that begins with a space is only found after one.
    """
    found = [tuple(context.encode(text)), tuple(context.encode(f" {text}"))]
    for wanted in (text, f" {text}"):
        for anchor in _ANCHORS:
            head = context.encode(anchor)
            whole = context.encode(anchor + wanted)
            if head and whole[: len(head)] == head and len(whole) > len(head):
                if context.decode(whole) == context.decode(head) + wanted:
                    found.append(tuple(whole[len(head) :]))
                    break
    kept: list[tuple[int, ...]] = []
    for sequence in sorted(dict.fromkeys(found), key=len):
        if sequence and not any(sequence[-len(shorter) :] == shorter for shorter in kept):
            kept.append(sequence)
    return kept
