"""The text of each token of an encoding: which characters of the whole it stands for."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from playground.engine.lanes.detokenizer import Detokenizer


@dataclass(frozen=True)
class Encoding:
    """The ids of ``text``. ``added`` marks tokens that the tokenizer added, which have no text.

    ``special`` is what it was called with to add them; None where the text was encoded in parts,
    so that no offsets are known.
    """

    text: str
    ids: list[int]
    added: list[bool]
    special: bool | None


def token_texts(
    encoding: Encoding, tokenizer: Any, detokenizer: Detokenizer, lock: threading.Lock
) -> list[str]:
    """The text of each token: by its offsets, where the tokenizer has them, else as decoded.

    A character that is split between tokens comes with the last of them. ``lock`` is held while
    the tokenizer encodes.
    """
    own = [id for id, added in zip(encoding.ids, encoding.added, strict=True) if not added]
    read = _without_prefixes(detokenizer.pieces(own), encoding.text)
    fast = bool(getattr(tokenizer, "is_fast", False))
    if encoding.special is None or not fast or "".join(read) == encoding.text:
        pieces = iter(read)
        return ["" if added else next(pieces) for added in encoding.added]
    with lock:
        offsets = tokenizer(
            encoding.text, add_special_tokens=encoding.special, return_offsets_mapping=True
        )["offset_mapping"]
    spans = [span for span, added in zip(offsets, encoding.added, strict=True) if not added]
    starts = [*(start for start, _ in spans[1:]), len(encoding.text)]
    found, done = [], 0
    for number, ((_, end), following) in enumerate(zip(spans, starts, strict=True)):
        # A character of several tokens is the last one's, and what is left the very last's.
        cut = max(done, min(end, following)) if number < len(spans) - 1 else len(encoding.text)
        found.append(encoding.text[done:cut])
        done = cut
    pieces = iter(found)
    return ["" if added else next(pieces) for added in encoding.added]


def _without_prefixes(pieces: list[str], text: str) -> list[str]:
    """The pieces of a text without the spaces that the tokenizer put before some of them.

    Unchanged where they do not join to the text even so.
    """
    found, at = [], 0
    for piece in pieces:
        bare = piece.removeprefix(" ")
        if text.startswith(piece, at):
            found.append(piece)
        elif text.startswith(bare, at):
            found.append(bare)
        else:
            return pieces
        at += len(found[-1])
    return found
