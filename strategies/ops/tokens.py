"""Token ids: those that write a text, the ones a row has seen, and banning some."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from typing import Annotated

import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from ..base import Context, Row, setting
from ..notation import quote, unfindable


def _findable(text: str) -> str:
    if (fault := unfindable(text)) is not None:
        raise ValueError(f"{quote(text)} {fault}")
    return text


# What names a token, or several in turn.
Text = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_findable)]

# How far back a penalty looks.
WINDOW = setting(
    0,
    "How many of the last tokens that count it looks at; 0 looks at all of them.",
    usual=(0, 1024),
    step=32,
    ge=0,
    le=1_000_000,
)

# Texts within which another goes on: a tokenizer may merge one of them with what follows, may put a
# space behind it, or may not know it. Letters come first, since a word goes on after those alone.
_ANCHORS = ("a", "\n", "x", "q", "0", ".")


def spellings(context: Context, text: str) -> list[tuple[int, ...]]:
    """The sequences of tokens that write ``text``, by which every setting that is a text is meant.

    At the beginning of a text, after a space, and in the middle of a word, each as the tokenizer
    cuts it there: many begin a text in another way than they go on. One that ends in another is
    left out, as whoever looks at a row's last tokens meets the shorter one there. A text with a
    space of its own is only found behind one.
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


def seen(row: Row, scores: Tensor, *, prompt: bool, window: int = 0) -> Tensor:
    """Ids in the row's text in order, repeats included, int64; only those ``scores`` reaches.

    Of its last ``window`` tokens, or of all where that is 0; without the prompt's, if so wished.
    A model may embed more tokens than it can write, so a prompt can hold ids beyond the scores.
    """
    tokens = (row.tokens if prompt else row.generated)[-window:]
    if not tokens:
        return torch.empty(0, dtype=torch.int64, device=scores.device)
    # torch.tensor(tuple) takes longer than everything else a penalty does.
    ids = torch.frombuffer(array("q", tokens), dtype=torch.int64).to(scores.device)
    return ids[ids < scores.shape[-1]]


def completes(row: Row, sequence: Sequence[int]) -> bool:
    """Whether the last token of ``sequence`` would complete it here: the others end the row."""
    before = tuple(sequence[:-1])
    return not before or row.tokens[-len(before) :] == before


def ban(scores: Tensor, banned: Sequence[Collection[int]]) -> Tensor:
    """Scores ``[n, vocab]`` with each row's banned ids at −inf, though no token be left then."""
    rows = [i for i, ids in enumerate(banned) for _ in ids]
    if not rows:
        return scores
    tokens = [token for ids in banned for token in ids]
    out = scores.clone()
    out[torch.tensor(rows, device=out.device), torch.tensor(tokens, device=out.device)] = -torch.inf
    return out
