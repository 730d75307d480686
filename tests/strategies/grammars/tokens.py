"""A tokenizer of bytes and a few longer tokens, and texts that are written with it."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from strategies import Row
from strategies.grammars import Grammar, Matching
from tests.strategies.driver import GRAMMARS, Logits, run
from tests.tiny import EOS

ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
MERGES = [("t", "r"), ("tr", "u"), ("tru", "e"), ('"', ":"), ("Ã", "©"), ("a", "b"), ("1", "2")]


def tokenizer() -> Tokenizer:
    """Bytes after three special tokens, and a few longer tokens; é is two bytes and one token."""
    names = ["<pad>", "<s>", "<end>", *ALPHABET, *("".join(pair) for pair in MERGES)]
    made = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, MERGES))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(names[:3])
    return made


TOKENIZER = tokenizer()
VOCAB = TOKENIZER.get_vocab_size() + 5  # models round theirs up


def noise(seed: int, leaning: str = "") -> Logits:
    """Scores from a hash of the text; the bytes of ``leaning`` are likelier."""
    bonus = torch.zeros(VOCAB)
    bonus[TOKENIZER.encode(leaning).ids] = 3.0

    def logits(rows: list[tuple[int, ...]]) -> torch.Tensor:
        drawn = [
            torch.randn(VOCAB, generator=torch.Generator().manual_seed(hash((seed, row)) % 2**40))
            for row in rows
        ]
        return torch.stack(drawn) * 2 + bonus

    return logits


def text(row: Row) -> str:
    written = [token for token in row.generated if token != EOS]
    return "".join(TOKENIZER.decode(written, skip_special_tokens=False))


def write(written: str, seed: int = 0, leaning: str = "", tokens: int = 400) -> Row:
    row = run(noise(seed, leaning), written, (1,), eos=(EOS,), max_new_tokens=tokens, seed=seed)[0]
    return row


def begun(grammar: Grammar) -> Matching:
    return GRAMMARS.begin(GRAMMARS.vocabulary(TOKENIZER.to_str, VOCAB, (EOS,)), grammar)


def kept(grammar: Grammar, written: str) -> bool:
    """Whether a grammar accepts a text byte by byte, and its end."""
    at = begun(grammar)
    for token in [ALPHABET.index(letter) + 3 for letter in as_bytes(written)]:
        if not at.allowed()[token]:
            return False
        at = at.after(token)
    return bool(at.allowed()[EOS])


def as_bytes(written: str) -> str:
    (piece,) = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(
        written
    )
    return str(piece[0])
