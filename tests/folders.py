"""Tiny models saved as folders, with a byte-level tokenizer made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHAT = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
VOCAB = len(SPECIAL) + 256


def tokenizer(chat: bool = False, eos: str | None = "<|endoftext|>") -> PreTrainedTokenizerFast:
    """One token per byte, after three special ones."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate([*SPECIAL, *alphabet])}
    made = Tokenizer(models.BPE(vocab, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token=eos,
        additional_special_tokens=SPECIAL,
        chat_template=CHAT if chat else None,
    )


def saved(model: Any, folder: Path, **kind: Any) -> Path:
    """The folder, now holding this model and a tokenizer of this kind."""
    model.save_pretrained(folder)
    tokenizer(**kind).save_pretrained(folder)
    return folder
