"""Token ids to readable text, one token at a time, and a name for each token by itself."""

from __future__ import annotations

import json
from codecs import utf_8_decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

_BROKEN = "\ufffd"  # what a decoder writes for bytes that are no whole character
_LONGEST = 4  # bytes of a character in UTF-8
_LOOKBACK = 6  # tokens that are decoded again where a token's text depends on those before it

# Decoders of the tokenizers library to which a token's text depends on nothing but whether any
# text stands before it.
_CONTEXT_FREE = {"ByteFallback", "ByteLevel", "Fuse", "Metaspace", "Replace", "WordPiece"}


@dataclass(frozen=True, slots=True)
class Text:
    """A row's readable text so far: ``value``, and what is known of its end.

    ``pending`` are the first bytes of a character that is not complete yet. ``blank`` is whether
    no token so far, in the prompt or since, is readable. Where the text of a token depends on its
    neighbours, those from ``start`` are decoded again at every token, and the first ``shown``
    characters of them are in the text already.
    """

    value: str
    pending: bytes = b""
    blank: bool = True
    start: int = 0
    shown: int = 0


class Detokenizer:
    """Decodes with one tokenizer. Special tokens are part of no text."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        added = getattr(tokenizer, "added_tokens_decoder", {})
        self.special = frozenset(tokenizer.all_special_ids) | {
            id for id, token in added.items() if token.special
        }
        self._in_context = not _context_free(tokenizer)
        self._pieces: dict[int, str] = {}
        self._spelled: dict[int, str | bytes] = {}  # within a text
        self._first: dict[int, str | bytes] = {}  # at the beginning of one
        self._anchor = self._letter()
        self._head = self._decode(self._anchor)

    def begin(self, prompt: Sequence[int]) -> Text:
        """The empty text after a prompt."""
        readable = [token for token in prompt[-_LOOKBACK:] if token not in self.special]
        blank = not readable and self.special.issuperset(prompt)
        if self._in_context:
            start = max(0, len(prompt) - _LOOKBACK)
            while start > 0 and self.special.issuperset(prompt[start:]):
                start -= 1
            return Text("", b"", blank, start, len(self._decode(prompt[start:])))
        parts = [self._spelling(token) for token in readable[-_LONGEST:]]
        last = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
        return Text("", last[utf_8_decode(last, "replace", False)[1] :], blank)

    def extend(self, text: Text, tokens: Sequence[int]) -> Text:
        """The text once ``tokens``, the whole row, is longer by one.

        Bytes that are no whole character yet are kept back until a token completes them, however
        many tokens that takes; characters before them are not.
        """
        if self._in_context:
            return self._extend_in_context(text, tokens)
        token = tokens[-1]
        spelling = self._spelling(token, text.blank)
        blank = text.blank and token in self.special
        if isinstance(spelling, str):
            if not text.pending:
                return Text(text.value + spelling, b"", blank)
            spelling = spelling.encode()
        data = text.pending + spelling
        characters, whole = utf_8_decode(data, "replace", False)
        return Text(text.value + characters, data[whole:], blank)

    def finish(self, text: Text, tokens: Sequence[int]) -> Text:
        """The text with what is pending, written as the decoder writes broken characters."""
        if self._in_context:
            rest = self._decode(tokens[text.start :])[text.shown :]
            return Text(text.value + rest, b"", text.blank, text.start, text.shown + len(rest))
        if not text.pending:
            return text
        return Text(text.value + text.pending.decode("utf-8", "replace"), b"", text.blank)

    def piece(self, token: int) -> str:
        """One token by itself, as a candidate is shown: ``" worm"``, or bytes as ``"⟨E2 80⟩"``."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._piece(token)
        return known

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """What each token adds to the text of all of them, special ones by their names.

        A character that is split between tokens comes with its last one, and before a special
        token where it is not completed.
        """
        text, row, found = Text(""), [], []
        for token in tokens:
            row.append(token)
            if not (text.blank or text.pending or self._in_context or token in self.special):
                plain = self._spelling(token)
                if isinstance(plain, str):  # as nearly all are
                    found.append(plain)
                    continue
            before = len(text.value)
            if token in self.special:
                text = self.finish(text, row[:-1])
                longer = replace(text, value=text.value + self.piece(token))
            else:
                longer = self.extend(text, row)
            found.append(longer.value[before:])
            text = longer
        rest = self.finish(text, row).value[len(text.value) :]
        if rest:
            found[-1] += rest
        return found

    def _extend_in_context(self, text: Text, tokens: Sequence[int]) -> Text:
        after = self._decode(tokens[text.start :])
        # An unfinished character is at most so many broken ones, and what is before them stays.
        known = after.rstrip(_BROKEN)
        known += _BROKEN * (len(after) - len(known) - _LONGEST + 1)
        value, shown = text.value + known[text.shown :], max(text.shown, len(known))
        blank = text.blank and tokens[-1] in self.special
        start = text.start
        if known == after and not blank and len(tokens) - start > 2 * _LOOKBACK:
            start = self.begin(tokens).start
            shown = len(self._decode(tokens[start:]))
        return Text(value, b"", blank, start, shown)

    def _decode(self, ids: Sequence[int]) -> str:
        result: str = self.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return result

    def _spelling(self, token: int, first: bool = False) -> str | bytes:
        """What a token adds to a text, or begins one with; bytes where it is no whole character."""
        known = self._first if first else self._spelled
        found = known.get(token)
        if found is None:
            found = known[token] = self._spell(token, first)
        return found

    def _spell(self, token: int, first: bool) -> str | bytes:
        head = [] if first else self._anchor
        text = self._decode([*head, token]).removeprefix("" if first else self._head)
        if _BROKEN not in text:
            return text
        data = _bytes(str(self.tokenizer.convert_ids_to_tokens(token)))
        return text if data is None else data

    def _letter(self) -> list[int]:
        """A token with a text, after which others are decoded as they are within a text."""
        for letter in "aA0.":
            ids: list[int] = self.tokenizer.encode(letter, add_special_tokens=False)[-1:]
            if ids and self._decode(ids):
                return ids
        return next(([i] for i in range(len(self.tokenizer)) if self._decode([i]).strip()), [])

    def _piece(self, token: int) -> str:
        name = self.tokenizer.convert_ids_to_tokens(token)
        if name is None:
            return f"⟨{token}⟩"
        if token in self.special:
            return str(name)
        spelling = self._spelling(token)
        if isinstance(spelling, bytes):
            return f"⟨{spelling.hex(' ').upper()}⟩"
        return spelling if spelling and _BROKEN not in spelling else f"⟨{name}⟩"


def _context_free(tokenizer: Any) -> bool:
    """Whether a token's text does not depend on its neighbours."""
    decoder = getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None)
    if decoder is None:
        return False
    steps = [json.loads(decoder.__getstate__())]
    while steps:
        step = steps.pop()
        if step["type"] == "Sequence":
            steps += step["decoders"]
        elif step["type"] == "Strip" and step["stop"] == 0:
            continue  # only from the beginning
        elif step["type"] not in _CONTEXT_FREE:
            return False
    return True


def _bytes(name: str) -> bytes | None:
    """The bytes of a token that is no whole character, where they are known from its name."""
    if len(name) == 6 and name.startswith("<0x"):  # sentencepiece's fallback for single bytes
        return bytes.fromhex(name[3:-1])
    table = _byte_alphabet()
    if all(letter in table for letter in name):
        return bytes(table[letter] for letter in name)
    return None


@cache
def _byte_alphabet() -> Mapping[str, int]:
    """GPT-2's letters for bytes (Radford 2019): printable ones stand for themselves."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {chr(byte): byte for byte in plain}
    rest = [byte for byte in range(256) if byte not in plain]
    return letters | {chr(256 + i): byte for i, byte in enumerate(rest)}
