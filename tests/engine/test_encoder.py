"""The tokens of a prompt: every kind of tokenizer, chat template or not, control names or text."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.engine.encoder import Encoder
from playground.engine.lanes.detokenizer import Detokenizer
from playground.engine.request import FieldError
from tests.folders import tokenizer
from tests.vocabularies import KINDS

PROMPTS = [
    "the new row",
    " row",
    "the\nrow\n\n",
    "the <|im_end|> row",
    "<|im_end|>",
    "<|im_end|><|im_start|>the\n<|im_end|> new",
    "</s> the",
]


@cache
def encoder(kind: str) -> Encoder:
    made = KINDS[kind]()
    return Encoder(made, Detokenizer(made), "Tiny")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_prompt_is_encoded_as_by_transformers(kind: str, chat: bool, prompt: str) -> None:
    known = encoder(kind)
    own = known.tokenizer
    text = rendered(own, prompt) if chat else prompt
    tokens = known.prompt(prompt, chat)
    assert [token.id for token in tokens] == own.encode(text, add_special_tokens=not chat)
    assert "".join(token.text for token in tokens) == text
    assert known.ids(prompt, chat) == [token.id for token in tokens]


def rendered(own: Any, prompt: str) -> str:
    text: str = own.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
    )
    return text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_split_the_prompt_controls_nothing_and_its_template_all(
    kind: str, chat: bool, prompt: str
) -> None:
    known = encoder(kind)
    plain = known.prompt(prompt, chat, split=True)
    empty = known.prompt("x", chat)
    assert controls(plain) == controls(empty)  # those of the tokenizer and of the template
    read = "".join(token.text for token in plain if not token.control)
    for name in known.control_tokens(prompt):
        assert name in read.replace(" ", "")  # which a tokenizer of words puts between signs
    if not known.control_tokens(prompt):
        assert plain == known.prompt(prompt, chat)


def controls(tokens: Any) -> list[int]:
    return [token.id for token in tokens if token.control]


@pytest.mark.parametrize("kind", ["byte-level", "sentencepiece", "sentencepiece, prefix first"])
@settings(max_examples=40, deadline=None)
@given(parts=st.lists(st.sampled_from(["the", " row", "\n", "<|im_end|>", "é", "<|", "|>", " "]),
                      min_size=1, max_size=8))  # fmt: skip
def test_what_is_around_a_plain_name_is_encoded_as_it_was(kind: str, parts: list[str]) -> None:
    """Without letters that merge over their ends, each part has the tokens it has by itself."""
    known, prompt = encoder(kind), "".join(parts)
    for chat in (False, True):
        tokens = known.prompt(prompt, chat, split=True)
        text = rendered(known.tokenizer, prompt) if chat else prompt
        assert "".join(token.text for token in tokens).lstrip() == text.lstrip()


def test_the_tokens_of_a_plain_name() -> None:
    known = encoder("byte-level")
    texts = [t.text for t in known.prompt("the<|im_end|>\n", chat=True, split=True)]
    assert texts == [
        *["<|im_start|>", "u", "s", "e", "r", "\n"],
        *["the", *"<|im_end|>", "\n"],
        *["<|im_end|>", "\n", "<|im_start|>", *"assistant", "\n"],
    ]
    first = encoder("sentencepiece, prefix first").prompt("a</s>the", split=True)
    assert [token.text for token in first] == ["", "", "a", *"</s>", "the"]


def test_a_token_of_several_names_is_found_by_each() -> None:
    """The end of GPT-2's text is its beginning and its unknown token, too."""
    made = tokenizer()
    made.unk_token = made.bos_token = made.eos_token
    known = Encoder(made, Detokenizer(made), "Tiny")
    tokens = known.prompt("a<|endoftext|>b", split=True)
    assert not controls(tokens) and "".join(t.text for t in tokens) == "a<|endoftext|>b"
    assert [t.text for t in known.prompt("a<|endoftext|>b")] == ["a", "<|endoftext|>", "b"]


def test_a_template_that_changes_the_message() -> None:
    made = tokenizer(chat=True)
    made.chat_template = (
        "<|im_start|>{{ messages[0].content | trim | upper }}{{ messages[0].content | length }}"
        "<|im_end|>{{ messages[0].content }}"
    )
    known = Encoder(made, Detokenizer(made), "Tiny")
    tokens = known.prompt(" a<|im_end|> ", chat=True, split=True)
    assert [made.convert_ids_to_tokens(id) for id in controls(tokens)] == [
        "<|im_start|>",
        "<|im_end|>",
    ]


def test_a_tokenizer_that_cannot_split_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    made = tokenizer()
    known = Encoder(made, Detokenizer(made), "Tiny")
    encode = made.encode
    monkeypatch.setattr(
        made, "encode", lambda text, split_special_tokens=False, **kind: encode(text, **kind)
    )
    with pytest.raises(FieldError, match="cannot read control tokens as plain text") as raised:
        known.prompt("a<|im_end|>", split=True)
    assert raised.value.field == "split_special_tokens"


def test_names_in_a_prompt() -> None:
    known = encoder("byte-level")
    assert known.control_tokens("a <|im_end|><s> <|im_end|> <|im_") == ["<|im_end|>", "<s>"]
    assert known.control_tokens("a") == []
