"""Tiny tokenizers of every family, built without a network, from the words that a test names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)
from transformers import PreTrainedTokenizerFast

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?:;'\"<>|_[]/{}*-"
WORDS = ("row", "the", "new")
SPECIAL = ("<s>", "</s>", "<|im_start|>", "<|im_end|>")
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def bytes_named(data: bytes) -> str:
    """The name of a token of these bytes, in GPT-2's alphabet for bytes."""
    alphabet = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in plain]
    letters = {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(rest)}
    assert set(letters.values()) == set(alphabet.alphabet())
    return "".join(letters[byte] for byte in data)


def _built(words: Iterable[str], space: str, first: Iterable[str]) -> tuple[dict[str, int], Any]:
    """A vocabulary that begins with ``first``, and the merges that make each word letter by letter,
    and each with the space before it."""
    names, merges = list(first), []
    for word in words:
        parts = [(word[: end - 1], word[end - 1]) for end in range(2, len(word) + 1)]
        merges += [*parts, (space, word)]
        names += ["".join(pair) for pair in merges]
    return {name: i for i, name in enumerate(dict.fromkeys(names))}, list(dict.fromkeys(merges))


def _fast(made: Tokenizer, **kind: Any) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=list(SPECIAL[2:]),
        chat_template=CHAT,
        **kind,
    )


def _begins(made: Tokenizer) -> None:
    """Have texts begin with the beginning-of-sequence token, as Llama's do."""
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair=None, special_tokens=[("<s>", made.token_to_id("<s>"))]
    )


def byte_level(
    words: Iterable[str] = WORDS, pieces: Iterable[bytes] = (), begins: bool = False
) -> PreTrainedTokenizerFast:
    """GPT-2's kind: words with and without the space before them; ``pieces`` are more tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    named = [bytes_named(word.encode()) for word in words]
    vocab, merges = _built(named, bytes_named(b" "), [*SPECIAL, *alphabet])
    for piece in pieces:
        vocab.setdefault(bytes_named(piece), len(vocab))
    made = Tokenizer(models.BPE(vocab, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    if begins:
        _begins(made)
    return _fast(made)


def sentencepiece(
    prefix: str = "legacy", words: Iterable[str] = WORDS, begins: bool = True
) -> PreTrainedTokenizerFast:
    """Llama 2's kind, whose normalisation puts a space before a text (and, ``legacy``, behind
    every control token); ``first``, only before a text; or none at all, ``never``, as Gemma's.
    """
    letters = [letter for letter in LETTERS if letter not in "<>"]
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    vocab, merges = _built(words, "▁", [*SPECIAL, "<unk>", *fallback, "▁", *letters, "<", ">"])
    made = Tokenizer(
        models.BPE(vocab, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    strip = [decoders.Strip(" ", 1, 0)] if prefix != "never" else []
    if prefix == "legacy":
        made.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    else:
        scheme = {"first": "first", "never": "never"}[prefix]
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    if begins:
        _begins(made)
    return _fast(made, unk_token="<unk>")


def wordpiece(words: Iterable[str] = WORDS) -> PreTrainedTokenizerFast:
    """BERT's kind: words are cut at spaces, which no token has, and go on with ``##``."""
    names = [*SPECIAL, "[UNK]", "[CLS]", "[SEP]", *LETTERS, *words]
    names += [f"##{part}" for part in (*LETTERS, *words)]
    vocab = {name: i for i, name in enumerate(dict.fromkeys(names))}
    made = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=False)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    special = [(name, vocab[name]) for name in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair=None, special_tokens=special
    )
    return _fast(made, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")


def suffixed(words: Iterable[str] = WORDS) -> PreTrainedTokenizerFast:
    """The first GPT's kind: a token that ends a word says so, and what follows begins another."""
    end = "</w>"
    first = [*SPECIAL, "<unk>", *LETTERS, *(letter + end for letter in LETTERS)]
    merges = [
        pair
        for word in words
        for pair in [
            *((word[:cut], word[cut]) for cut in range(1, len(word) - 1)),
            (word[:-1], word[-1] + end),
        ]
    ]
    names = [*first, *("".join(pair) for pair in merges)]
    vocab = {name: i for i, name in enumerate(dict.fromkeys(names))}
    made = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", end_of_word_suffix=end))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.BPEDecoder(suffix=end)
    return _fast(made, unk_token="<unk>")


KINDS: dict[str, Any] = {
    "byte-level": byte_level,
    "byte-level with a beginning": lambda: byte_level(begins=True),
    "sentencepiece": sentencepiece,
    "sentencepiece, prefix first": lambda: sentencepiece("first"),
    "sentencepiece without prefix": lambda: sentencepiece("never"),
    "wordpiece": wordpiece,
    "suffixed": suffixed,
}
