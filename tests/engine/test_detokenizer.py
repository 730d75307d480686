"""Token ids to readable text: split characters, leading spaces, special tokens."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from playground.engine.lanes.detokenizer import Detokenizer
from tests.folders import tokenizer
from tests.vocabularies import KINDS, byte_level, bytes_named

TEXTS = [
    "plain words",
    " leading, and  double spaces",
    "né 🎲! 日本語 naïve",
    "👩‍👩‍👧 family",
    "line\nbreaks\n\n",
    "🎲",
    "a \ufffd already broken",
]


def metaspace() -> Any:
    """Words that carry a space before them, as sentencepiece writes them, and bytes to fall back
    on for characters it does not know; decoded as Llama's tokenizer decodes."""
    letters = "abcdefghijklmnopqrstuvwxyz,!.\n"
    words = ["<s>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *letters]
    merges = [("▁", letter) for letter in letters[:26]]
    words += ["▁" + letter for letter in letters[:26]]
    made = Tokenizer(
        models.BPE(
            {word: i for i, word in enumerate(words)}, merges, unk_token="<unk>", byte_fallback=True
        )
    )
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    made.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", unk_token="<unk>")


@cache
def detokenizer(kind: str) -> Detokenizer:
    if kind in KINDS:
        return Detokenizer(KINDS[kind]())
    return Detokenizer(metaspace() if kind == "metaspace" else tokenizer())


def read(detokenizer: Detokenizer, prompt: Sequence[int], tokens: Sequence[int]) -> list[str]:
    """What each token adds to the text, the end included."""
    text, row, pieces = detokenizer.begin(prompt), list(prompt), []
    for i, token in enumerate(tokens):
        row.append(token)
        longer = detokenizer.extend(text, row)
        if i == len(tokens) - 1:
            longer = detokenizer.finish(longer, row)
        assert longer.value.startswith(text.value)
        pieces.append(longer.value[len(text.value) :])
        text = longer
    assert "".join(pieces) == text.value
    return pieces


@pytest.mark.parametrize("kind", ["bytes", "metaspace"])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("prompt", ["", "x", "a longer prompt,"])
def test_a_text_read_token_by_token_is_the_text(kind: str, text: str, prompt: str) -> None:
    known = detokenizer(kind)
    before = known.tokenizer.encode(prompt) if prompt else []
    tokens = known.tokenizer.encode(prompt + text)[len(before) :]
    pieces = read(known, before, tokens)
    # Metaspace writes no space at the very beginning of a text.
    first = text[1:] if kind == "metaspace" and not prompt and text[0] == " " else text
    assert "".join(pieces) == first
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in pieces)


def test_a_character_of_several_tokens_comes_with_its_last() -> None:
    known = detokenizer("bytes")
    assert read(known, [], known.tokenizer.encode("n🎲é!")) == [
        *["n", "", "", "", "🎲", "", "é", "!"]
    ]


@pytest.mark.parametrize("kind", ["bytes", "metaspace"])
def test_a_character_that_never_ends_is_shown_as_broken(kind: str) -> None:
    known = detokenizer(kind)
    prompt = known.tokenizer.encode("x")
    dice = known.tokenizer.encode("x🎲")[len(prompt) :]
    assert set("".join(read(known, prompt, dice[:-1]))) == {"\ufffd"}
    cut_by_a_letter = read(known, prompt, [*dice[:2], *known.tokenizer.encode("xa")[-1:], *dice])
    assert cut_by_a_letter[-1] == "🎲" and "".join(cut_by_a_letter).strip("\ufffd") == "a🎲"


def test_bytes_that_mean_nothing_are_not_held_back_for_ever() -> None:
    known = detokenizer("bytes")
    tail = known.tokenizer.convert_tokens_to_ids("Ģ")  # 0x80 continues, but nothing began
    pieces = read(known, [], [tail] * 40)
    assert "".join(pieces) == "\ufffd" * 40
    assert max(len(piece) for piece in pieces) < 10


@pytest.mark.parametrize("kind", ["bytes", "metaspace"])
def test_any_tokens_at_all_read_as_the_decoder_would_have_it(kind: str) -> None:
    """Random letters with stray bytes among them: nothing readable is lost or doubled."""
    known = detokenizer(kind)
    chance = random.Random(4)
    letters = known.tokenizer.encode("abcxyz a b c", add_special_tokens=False)
    strays = known.tokenizer.encode("é🎲日", add_special_tokens=False)
    for _ in range(60):
        tokens = chance.choices([*letters, *letters, *strays], k=30)
        mine = "".join(read(known, letters[:3], tokens))
        head = known.tokenizer.decode(letters[:3])
        theirs = known.tokenizer.decode([*letters[:3], *tokens])[len(head) :]
        # Byte fallback gives up a whole stretch of bytes for one that is wrong; reading does not.
        kept = str.isascii if kind == "metaspace" else "\ufffd".__ne__
        assert list(filter(kept, mine)) == list(filter(kept, theirs))


def test_a_special_token_has_no_text_and_takes_no_space_away() -> None:
    known = detokenizer("metaspace")
    prompt = known.tokenizer.encode("hi")
    a, b = known.tokenizer.convert_tokens_to_ids(["▁a", "▁b"])
    special = known.tokenizer.bos_token_id
    assert read(known, prompt, [a, special, b]) == [" a", "", " b"]
    assert read(known, prompt, [special, special, a, b]) == ["", "", " a", " b"]


def test_a_candidate_by_itself() -> None:
    known = detokenizer("bytes")
    e2 = known.tokenizer.encode("€")[0]
    space = known.tokenizer.encode(" ")[0]
    assert known.piece(known.tokenizer.encode("b")[0]) == "b"
    assert known.piece(space) == " " and known.piece(e2) == "⟨E2⟩"
    assert known.piece(0) == "<|endoftext|>"
    assert known.piece(100_000) == "⟨100000⟩"
    words = detokenizer("metaspace")
    pieces = {name: words.piece(words.tokenizer.convert_tokens_to_ids(name)) for name in words_of()}
    assert pieces == words_of()


def words_of() -> dict[str, str]:
    return {"▁b": " b", "b": "b", "▁": " ", "<0xE2>": "⟨E2⟩", "\n": "\n", "<s>": "<s>"}


# Tokens of GPT-2 that begin in one character and end in another: of 興 (E8 88 88), and of others.
CROSSING = [b"\xe8\x88", b"\x88\xe8", b"\x88\xe8\x88", b"\xe8", b"\x88", b"\xf0\x9f", b"\xe2\x80"]


@cache
def crossing() -> Detokenizer:
    return Detokenizer(byte_level(pieces=CROSSING))


def test_characters_that_no_token_ends_with_are_told_one_by_one() -> None:
    """興興興…, cut so that each token but the last ends inside a character."""
    known = crossing()
    first, middle, tail = (known.tokenizer.convert_tokens_to_ids(n) for n in ("èĪ", "ĪèĪ", "Ī"))
    pieces = read(known, [], [first, *[middle] * 11, tail])
    assert pieces == ["", *["興"] * 12]
    cut = read(known, [], [first, *[middle] * 11])
    assert cut == ["", *["興"] * 10, "興\ufffd"]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_bytes_in_any_tokens_are_told_as_soon_as_they_are_characters(data: Any) -> None:
    known = crossing()
    parts = [*CROSSING, *(bytes([byte]) for byte in "aé興🎲\ufffd".encode())]
    written = data.draw(st.lists(st.sampled_from(parts), min_size=1, max_size=24))
    letters = known.tokenizer.get_vocab()
    tokens = [letters[bytes_named(part)] for part in written]
    text, row, told = known.begin([]), [], b""
    for part, token in zip(written, tokens, strict=True):
        row.append(token)
        told += part
        text = known.extend(text, row)
        whole = told.decode("utf-8", "replace")
        late = next((n for n in range(1, 4) if _begins_character(told[-n:])), 0)
        expected = told[: len(told) - late].decode("utf-8", "replace") if late else whole
        assert text.value == expected
    assert known.finish(text, row).value == whole
    assert known.tokenizer.decode(tokens) == whole  # and the tokenizer's own decoder agrees


def _begins_character(end: bytes) -> bool:
    """Whether these bytes are the beginning of a character and not the whole of one."""
    try:
        end.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data" and error.start == 0
    return False


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_kind_of_tokenizer_is_read_as_its_decoder_would_have_it(kind: str, data: Any) -> None:
    known = detokenizer(kind)
    ids = st.integers(0, len(known.tokenizer) - 1)
    letters = known.tokenizer.encode("the new row a", add_special_tokens=False)
    prompt = data.draw(st.sampled_from([letters[:1], letters]))
    tokens = data.draw(st.lists(st.one_of(st.sampled_from(letters), ids), min_size=1, max_size=20))
    mine = "".join(read(known, prompt, tokens))
    theirs = decoded(known, [*prompt, *tokens])[len(decoded(known, prompt)) :]
    # Byte fallback gives up a whole stretch of bytes for a wrong one; reading does not.
    assert mine == theirs or (kind.startswith("sentencepiece") and "\ufffd" in theirs)


def decoded(known: Detokenizer, ids: Sequence[int]) -> str:
    text: str = known.tokenizer.decode(
        list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return text


def test_a_prompt_that_ends_inside_a_character_leaves_it_to_the_text() -> None:
    known = detokenizer("bytes")
    dice = known.tokenizer.encode("🎲")
    assert read(known, dice[:2], dice[2:]) == ["", "🎲"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_pieces_of_a_text_have_special_tokens_by_name(kind: str) -> None:
    known = detokenizer(kind)
    ids = known.tokenizer.encode("the row<|im_end|>a", add_special_tokens=False)
    pieces = known.pieces(ids)
    assert len(pieces) == len(ids) and "<|im_end|>" in pieces
    assert "".join(pieces).replace(" a", "a") == "the row<|im_end|>a"
