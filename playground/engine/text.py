"""Token ids to readable text, one token at a time: split characters, stop strings, candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

_BROKEN = "\ufffd"  # what a decoder writes for bytes that are no whole character
_LOOKBACK = 6  # tokens re-read so that a token's text is what it is in company


@dataclass(frozen=True)
class Text:
    """A row's readable text so far. ``read`` tokens of the row are in ``value`` already."""

    value: str
    start: int  # first token that is decoded again with the next ones
    read: int


class Reader:
    """Reads token ids with one tokenizer. Special tokens are part of no text."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._special = frozenset(tokenizer.all_special_ids)
        self._pieces: dict[int, str] = {}
        self._alone: dict[int, str] = {}
        self._anchor = tokenizer.encode("a", add_special_tokens=False)[-1:]
        self._head = tokenizer.decode(self._anchor, clean_up_tokenization_spaces=False)

    def begin(self, prompt: Sequence[int]) -> Text:
        """The empty text after a prompt."""
        start = max(0, len(prompt) - _LOOKBACK)
        while start > 0 and self._special.issuperset(prompt[start:]):
            start -= 1
        return Text("", start, len(prompt))

    def extend(self, text: Text, tokens: Sequence[int]) -> Text:
        """The text once ``tokens``, the whole row, is longer by one.

        Bytes that are no whole character yet wait for the tokens that complete them.
        """
        before = self._before(text, tokens)
        after = self._decode(tokens[text.start :])
        if after.endswith(_BROKEN) and len(tokens) - text.read < _LOOKBACK:
            return text
        return self._longer(text, before, after, len(tokens))

    def finish(self, text: Text, tokens: Sequence[int]) -> Text:
        """The text with what was still waiting, written as the decoder writes broken characters."""
        if text.read == len(tokens):
            return text
        before = self._before(text, tokens)
        after = self._decode(tokens[text.start :])
        return self._longer(text, before, after, len(tokens))

    @staticmethod
    def _longer(text: Text, before: str, after: str, read: int) -> Text:
        """The text with what ``after`` has beyond ``before``.

        A special token has no text, and a decoder drops the space of a word that begins what it is
        given: what is decoded again starts at a token with a text.
        """
        added = after[len(before) :]
        return Text(text.value + added, text.read if added else text.start, read)

    def _before(self, text: Text, tokens: Sequence[int]) -> str:
        """What those decoded again were, which is mostly one token that was met before."""
        ids = tokens[text.start : text.read]
        if len(ids) != 1:
            return self._decode(ids)
        known = self._alone.get(ids[0])
        if known is None:
            known = self._alone[ids[0]] = self._decode(ids)
        return known

    def _decode(self, ids: Sequence[int]) -> str:
        result: str = self.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return result

    def piece(self, token: int) -> str:
        """One token by itself, as a candidate is shown: ``" worm"``, or bytes as ``"⟨E2 80⟩"``."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._piece(token)
        return known

    def _piece(self, token: int) -> str:
        name = self.tokenizer.convert_ids_to_tokens(token)
        if name is None:
            return f"⟨{token}⟩"
        if token in self._special:
            return str(name)
        anchored = self.tokenizer.decode([*self._anchor, token], clean_up_tokenization_spaces=False)
        piece: str = anchored.removeprefix(self._head)
        return piece if piece and _BROKEN not in piece else f"⟨{_bytes(str(name))}⟩"


def _bytes(name: str) -> str:
    """The bytes of a token that is no whole character, in hexadecimal where they are known."""
    if name.startswith("<0x"):  # sentencepiece's fallback for single bytes
        return name[3:-1]
    table = _byte_alphabet()
    if all(letter in table for letter in name):
        return " ".join(f"{table[letter]:02X}" for letter in name)
    return name


@cache
def _byte_alphabet() -> dict[str, int]:
    """GPT-2's letters for bytes (Radford 2019): printable ones stand for themselves."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {chr(byte): byte for byte in plain}
    rest = [byte for byte in range(256) if byte not in plain]
    return letters | {chr(256 + i): byte for i, byte in enumerate(rest)}


def find_stop(text: str, added: int, stop: Sequence[str]) -> int | None:
    """Where the first stop string begins that the last ``added`` characters completed."""
    found = [
        place
        for string in stop
        if (place := text.find(string, max(0, len(text) - added - len(string) + 1))) >= 0
    ]
    return min(found, default=None)
