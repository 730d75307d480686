"""A text in a setting is meant wherever it is written, with every kind of tokenizer."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

from strategies import Context, Recipe, Row
from strategies.ops.spellings import spellings
from tests.vocabularies import KINDS

WORD = "row"
BEFORE = ["", "the ", "b", "the\n", "new.", "the  ", "0", "<|im_end|>"]


@cache
def known(kind: str) -> tuple[Any, Context]:
    tokenizer = KINDS[kind]()
    return tokenizer, Context(
        vocab_size=len(tokenizer),
        eos_token_ids=(),
        max_new_tokens=8,
        encode=lambda text: tokenizer.encode(text, add_special_tokens=False),
        decode=lambda ids: tokenizer.decode(ids, clean_up_tokenization_spaces=False),
    )


def after(kind: str, recipe: str, ids: list[int]) -> torch.Tensor:
    """What a recipe's first step makes of equal scores after these tokens."""
    _, context = known(kind)
    ((processor, *_), _) = Recipe.parse(recipe).build(context)
    return processor(torch.zeros(1, context.vocab_size), [Row(tuple(ids), 0)])[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("word", [WORD, "newt", "the row"])
def test_a_text_is_met_wherever_the_tokenizer_writes_it(kind: str, before: str, word: str) -> None:
    """Its last token, after those that the tokenizer itself puts before that."""
    tokenizer, _ = known(kind)
    ids = tokenizer.encode(before + word, add_special_tokens=False)
    banned = after(kind, f'bad_words(["{word}"]) | greedy', ids[:-1])
    assert banned[ids[-1]] == -torch.inf
    biased = after(kind, f'logit_bias({{"{word}": 2.5}}) | greedy', ids[:-1])
    assert biased[ids[-1]] == 2.5, "once, however many ways there are to write it"


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_else_is_met(kind: str) -> None:
    """No token is banned but one that writes the text, or the rest of it."""
    tokenizer, context = known(kind)
    for sequence in spellings(context, WORD):
        assert context.decode(list(sequence)).strip(" #") == WORD
    ids = tokenizer.encode("the new", add_special_tokens=False)
    banned = after(kind, f'bad_words(["{WORD}"]) | greedy', ids)
    written = {context.decode([i]).strip(" #") for i in banned.isinf().nonzero().flatten().tolist()}
    assert written == {WORD}


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("byte-level", [["row"], ["Ġrow"]]),
        ("sentencepiece", [["▁row"], ["row"]]),
        ("sentencepiece, prefix first", [["▁row"], ["row"]]),
        ("sentencepiece without prefix", [["row"], ["▁row"]]),
        ("wordpiece", [["row"], ["##row"]]),
        ("suffixed", [["row</w>"]]),
    ],
)
def test_the_tokens_of_a_word(kind: str, names: list[list[str]]) -> None:
    tokenizer, context = known(kind)
    assert [tokenizer.convert_ids_to_tokens(list(s)) for s in spellings(context, WORD)] == names


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("byte-level", [["Ġrow"]]),
        ("sentencepiece without prefix", [["▁row"]]),
        ("sentencepiece", [["▁row"]]),
    ],
)
def test_a_text_with_a_space_is_met_behind_one_only(kind: str, names: list[list[str]]) -> None:
    tokenizer, context = known(kind)
    assert [tokenizer.convert_ids_to_tokens(list(s)) for s in spellings(context, " row")] == names


def test_a_control_token_is_named_by_its_name() -> None:
    tokenizer, context = known("byte-level")
    assert spellings(context, "<|im_end|>") == [(tokenizer.convert_tokens_to_ids("<|im_end|>"),)]
