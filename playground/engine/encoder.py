"""Text to token ids: a prompt as the model reads it, in its chat template or not, and bare text."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from playground.engine.lanes.detokenizer import Detokenizer
from playground.engine.request import FieldError, check_text
from playground.engine.token_texts import Encoding, token_texts
from playground.errors import first_line
from playground.trace import PromptToken

_FIELD = "split_special_tokens"
_STAND_INS = range(0xE000, 0xF900)  # Unicode's private use, of which few texts have a character
_KEPT, _SHORT = 4096, 200  # texts whose ids are kept, and the characters of one, at most
_ANCHORS = ("\n", ".", "a", "0")  # after one of these a text is cut as within a longer text


class Encoder:
    """Encodes with one tokenizer. Any thread may call it."""

    def __init__(
        self, tokenizer: Any, detokenizer: Detokenizer, title: str, vocab: int | None = None
    ) -> None:
        """``title`` is the model's, for the sentences of errors.

        ``vocab`` is how many tokens the model knows, of which a tokenizer may have more.
        """
        self.tokenizer, self.detokenizer, self.title = tokenizer, detokenizer, title
        self.vocab = vocab
        self._lock = threading.Lock()  # a fast tokenizer may not encode twice at once
        self._kept: dict[str, list[int]] = {}
        names = [detokenizer.piece(id) for id in detokenizer.special]
        self._ids = {name: id for name, id in zip(names, detokenizer.special, strict=True) if name}
        longest = sorted(self._ids, key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, longest)) if longest else r"(?!)")

    def text(self, text: str) -> list[int]:
        """The ids of a text by itself, nothing added."""
        with self._lock:
            ids = self._kept.get(text)
            if ids is None:
                ids = self.tokenizer.encode(text, add_special_tokens=False)
                if len(self._kept) >= _KEPT:
                    self._kept.clear()
                if len(text) <= _SHORT:  # as words in parameters: every lane encodes them again
                    self._kept[text] = ids
            return list(ids)

    def control_tokens(self, prompt: str) -> list[str]:
        """The control tokens whose names are in a prompt, each once, in order."""
        return list(dict.fromkeys(self._special.findall(prompt)))

    def prompt(
        self,
        prompt: str,
        chat: bool = False,
        split: bool = False,
        check: Callable[[int], None] = lambda count: None,
    ) -> list[PromptToken]:
        """The tokens of a prompt, each with its text.

        With ``chat`` in the model's chat template, as the user's message. With ``split`` the names
        of control tokens in the prompt are text like any other; the template's own stay. ``check``
        is called with the number of tokens before their texts are made, which takes longest. Raises
        ``FieldError`` where the prompt has no token, or cannot be encoded as requested.
        """
        encoding = self._encoding(prompt, chat, split)
        check(len(encoding.ids))
        if not encoding.ids:
            raise FieldError("prompt", "The prompt has no token for this model.")
        texts = token_texts(encoding, self.tokenizer, self.detokenizer, self._lock)
        special, piece = self.detokenizer.special, self.detokenizer.piece
        return [
            PromptToken(id=id, text=text)
            if id not in special and piece(id) == text  # as nearly all
            else PromptToken(
                id=id,
                text=text,
                name=None if piece(id) == text else piece(id),
                control=id in special,
            )
            for id, text in zip(encoding.ids, texts, strict=True)
        ]

    def conversation(
        self, messages: Sequence[Mapping[str, str]], *, answer: bool = True, go_on: bool = False
    ) -> Conversation:
        """Messages of a conversation, each with a role and a content, in the chat template.

        ``answer`` appends the template's generation prompt; ``go_on`` leaves the last message open,
        for the model to continue. Names of control tokens in the messages become those tokens.
        Raises ``FieldError`` where the model has no template, or its template refuses them.
        """
        if not self.tokenizer.chat_template:
            raise FieldError("messages", f"{self.title} has no chat template.")
        for message in messages:
            check_text("messages", message["content"])
        try:
            with self._lock:
                text: str = self.tokenizer.apply_chat_template(
                    [dict(message) for message in messages],
                    tokenize=False,
                    add_generation_prompt=answer and not go_on,
                    continue_final_message=go_on,
                )
                ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        except Exception as error:  # a template is a program, and may fail as one
            raise FieldError(
                "messages",
                f"The chat template of {self.title} does not take them: {first_line(error)}.",
            ) from error
        return Conversation(text, self._checked("messages", ids))

    def ids(self, prompt: str, chat: bool = False, split: bool = False) -> list[int]:
        """The token ids of a prompt, encoded as by ``prompt``; empty where it has no token."""
        return self._encoding(prompt, chat, split).ids

    def continuation(
        self, prompt: str, ids: Sequence[int], text: str, chat: bool = False, split: bool = False
    ) -> list[int]:
        """The ids of ``text`` as it follows a prompt that was encoded to ``ids``.

        Prompt and text are encoded together where the prompt's tokens stay the same; otherwise the
        text is encoded by ``within``.
        """
        if not chat:
            whole = self.ids(prompt + text, split=split)
            if whole[: len(ids)] == list(ids):
                return whole[len(ids) :]
        return self.within(text)

    def within(self, text: str) -> list[int]:
        """The ids of ``text`` where it follows other text, whose tokens it does not change."""
        with self._lock:
            for anchor in _ANCHORS:
                head, whole = self._encode(anchor), self._joined(anchor + text)
                if head and whole[: len(head)] == head:
                    return whole[len(head) :]
            return self._joined(text)

    def _joined(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def _encoding(self, prompt: str, chat: bool, split: bool) -> Encoding:
        check_text("prompt", prompt)  # a prefetch or a preview has no request that was checked
        if chat and not self.tokenizer.chat_template:
            raise FieldError("chat", f"{self.title} has no chat template.")
        with self._lock:
            names = self.control_tokens(prompt) if split else []
            found = self._split(prompt, chat, names) if names else self._whole(prompt, chat)
        self._checked("prompt", found.ids)
        return found

    def _checked(self, field: str, ids: list[int]) -> list[int]:
        """The same ids. Raises ``FieldError`` where the model has no such token."""
        if self.vocab is None:
            return ids
        unknown = next((id for id in ids if id >= self.vocab), None)
        if unknown is not None:
            raise FieldError(
                field,
                f"The {field} has the token {self.detokenizer.piece(unknown)!r} ({unknown:,}) of "
                f"the tokenizer, but the last one that {self.title} knows is {self.vocab - 1:,}.",
            )
        return ids

    def _rendered(self, prompt: str, chat: bool) -> str:
        if not chat:
            return prompt
        try:
            text: str = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
            )
        except Exception as error:  # a template is a program, and may fail as one
            raise FieldError(
                "chat",
                f"The chat template of {self.title} fails on one message of a user: "
                f"{first_line(error)}.",
            ) from error
        return text

    def _whole(self, prompt: str, chat: bool) -> Encoding:
        text = self._rendered(prompt, chat)
        found = self.tokenizer(text, add_special_tokens=not chat, return_special_tokens_mask=True)
        added = [bool(mask) for mask in found["special_tokens_mask"]]
        return Encoding(text, list(found["input_ids"]), added, not chat)

    def _split(self, prompt: str, chat: bool, names: Sequence[str]) -> Encoding:
        """As ``_whole``, with ``names`` of control tokens in the prompt as plain text.

        A single character stands in for each while the template's own control tokens are found;
        the text between two of those is encoded by itself, as a tokenizer does it.
        """
        taken = set(self._rendered(prompt, chat))
        free = (chr(code) for code in _STAND_INS if chr(code) not in taken)
        stand_ins = dict(zip(names, free, strict=False))
        hidden = {stand_in: name for name, stand_in in stand_ins.items()}
        encoding = self._whole(self._special.sub(lambda found: stand_ins[found[0]], prompt), chat)
        count, added = len(encoding.ids), encoding.added
        first = added.index(False) if False in added else count
        last = count - (added[::-1].index(False) if False in added else 0)
        own = self._special.findall(encoding.text)
        controls = {self._ids[name] for name in own}
        spans: list[list[int]] = [[]]  # of ids, between control tokens
        for id in encoding.ids[first:last]:
            if id in controls:
                spans.append([])
            else:
                spans[-1].append(id)
        parts = self._special.split(encoding.text)
        if len(spans) != len(parts):
            raise self._unable()
        ids = list(encoding.ids[:first])
        for part, span, before in zip(parts, spans, [None, *own], strict=True):
            if before is not None:
                ids.append(self._ids[before])
            plain = _restored(part, hidden)
            ids += span if plain == part else self._plain(plain, before)
        added = [True] * first + [False] * (len(ids) - first)
        ids += encoding.ids[last:]
        added += [True] * (len(ids) - len(added))
        return Encoding(_restored(encoding.text, hidden), ids, added, None)

    def _plain(self, text: str, after: str | None) -> list[int]:
        """The ids of a text without control tokens, at the beginning or ``after`` one."""
        ids = self._encode(text)
        if after is not None and self._encode("a", after)[1:] != self._encode("a"):
            # This tokenizer cuts the beginning of a text differently after a control token.
            for anchor in _ANCHORS:
                head, whole = self._encode(anchor), self._encode(anchor + text)
                if head and whole[: len(head)] == head:
                    ids = whole[len(head) :]
                    break
        if not self.detokenizer.special.isdisjoint(set(ids) - {self.tokenizer.unk_token_id}):
            raise self._unable()
        return ids

    def _unable(self) -> FieldError:
        return FieldError(
            _FIELD, f"The tokenizer of {self.title} cannot read control tokens as plain text."
        )

    def _encode(self, text: str, control: str | None = None) -> list[int]:
        """The ids of plain text, or of one after a control token."""
        ids: list[int] = self.tokenizer.encode(
            (control or "") + text, add_special_tokens=False, split_special_tokens=control is None
        )
        return ids


def _restored(text: str, hidden: Mapping[str, str]) -> str:
    """A text with the names for which single characters stood in."""
    return "".join(hidden.get(letter, letter) for letter in text)


@dataclass(frozen=True)
class Conversation:
    """Messages as the model reads them: the rendered text, and its tokens."""

    text: str
    ids: list[int]


@dataclass(frozen=True)
class AsPrompt:
    """Encodes any text as the prompt of a run is encoded."""

    encoder: Encoder
    chat: bool
    split: bool

    def __call__(self, text: str) -> list[int]:
        return self.encoder.ids(text, self.chat, self.split)
