"""Equality with transformers: tokens from ``generate``, scores from each of its processors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from transformers import (
    EncoderRepetitionPenaltyLogitsProcessor,
    EpsilonLogitsWarper,
    EtaLogitsWarper,
    ExponentialDecayLengthPenalty,
    MinNewTokensLengthLogitsProcessor,
    MinPLogitsWarper,
    NoBadWordsLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopHLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from strategies import Recipe, Row
from tests.strategies.driver import Logits, context, forward, run
from tests.tiny import EOS, tiny_gpt2, tiny_llama, tiny_qwen2

NEW, PAD = 24, 1
MODELS = {"llama": tiny_llama, "gpt2": tiny_gpt2, "qwen2": tiny_qwen2}
PROMPTS = [(5,), (1, 50, 60, 70), (9, 9, 31, 4, 9, 9, 55, 3, 77, 9, 9)]


@cache
def loaded(name: str) -> tuple[Any, Logits]:
    model = MODELS[name](seed=4)
    return model, forward(model)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        ("greedy", {}),
        ("temperature(0) | sample", {}),
        ("top_k(1) | sample", {}),
        ("repetition_penalty(1.3) | greedy", {"repetition_penalty": 1.3}),
        ("repetition_penalty(0.8) | greedy", {"repetition_penalty": 0.8}),
        ("no_repeat_ngram(1) | greedy", {"no_repeat_ngram_size": 1}),
        ("no_repeat_ngram(2) | greedy", {"no_repeat_ngram_size": 2}),
        ("no_repeat_ngram(3) | greedy", {"no_repeat_ngram_size": 3}),
        ("min_new_tokens(20) | greedy", {"min_new_tokens": 20}),
        (
            "repetition_penalty(1.2) | no_repeat_ngram(2) | min_new_tokens(9) | greedy",
            {"repetition_penalty": 1.2, "no_repeat_ngram_size": 2, "min_new_tokens": 9},
        ),
        ('bad_words(["61", "9 9"]) | greedy', {"bad_words_ids": [[61], [9, 9]]}),
        (
            'logit_bias({"61": 3.5, "9 9": -9}) | greedy',
            {"sequence_bias": [[[61], 3.5], [[9, 9], -9.0]]},
        ),
        ("beam(3)", {"num_beams": 3}),
        ("repetition_penalty(1.5) | beam(3)", {"num_beams": 3, "repetition_penalty": 1.5}),
        ("no_repeat_ngram(2) | beam(4)", {"num_beams": 4, "no_repeat_ngram_size": 2}),
        ("min_new_tokens(12) | beam(2)", {"num_beams": 2, "min_new_tokens": 12}),
    ],
)
def test_tokens_equal_generate(name: str, recipe: str, settings: dict[str, Any]) -> None:
    model, logits = loaded(name)
    for prompt in PROMPTS:
        (theirs,) = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            **{"do_sample": False, "max_new_tokens": NEW, "pad_token_id": PAD, **settings},
        ).tolist()
        mine = run(logits, recipe, prompt, eos=(EOS,), max_new_tokens=NEW)[0]
        assert list(mine.tokens) == theirs


def test_the_greedy_texts_above_are_worth_comparing() -> None:
    """Some end at end-of-sequence, some at the limit, and they do not stutter."""
    texts = [
        run(loaded(name)[1], "greedy", prompt, eos=(EOS,), max_new_tokens=NEW)[0].generated
        for name in MODELS
        for prompt in PROMPTS
    ]
    assert {text[-1] == EOS for text in texts} == {True, False}
    assert {len(text) == NEW for text in texts} == {True, False}
    assert all(len(set(text)) > len(text) / 4 for text in texts)


Theirs = Callable[[int], Any]
PROMPT = 7


def encoder_repetition(penalty: float) -> Any:
    """For a model without an encoder generate passes its prompt."""
    return lambda ids, scores: EncoderRepetitionPenaltyLogitsProcessor(penalty, ids[:, :PROMPT])(
        ids, scores
    )


SCORES: list[tuple[str, Theirs]] = [
    *(
        (f"temperature({t})", lambda eos, t=t: TemperatureLogitsWarper(t))
        for t in (0.1, 0.7, 1.5, 5.0)
    ),
    *((f"top_k({k})", lambda eos, k=k: TopKLogitsWarper(k)) for k in (1, 5, 50, 300, 2500)),
    *((f"top_p({p})", lambda eos, p=p: TopPLogitsWarper(p)) for p in (0.0, 0.1, 0.5, 0.9, 0.99)),
    *((f"min_p({p})", lambda eos, p=p: MinPLogitsWarper(p)) for p in (0.01, 0.1, 0.5, 1.0)),
    *(
        (f"repetition_penalty({r})", lambda eos, r=r: RepetitionPenaltyLogitsProcessor(r))
        for r in (0.7, 1.2, 2.0)
    ),
    (
        "repetition_penalty(1.2, prompt=False)",
        lambda eos: RepetitionPenaltyLogitsProcessor(1.2, prompt_ignore_length=PROMPT),
    ),
    *(
        (f"no_repeat_ngram({n})", lambda eos, n=n: NoRepeatNGramLogitsProcessor(n))
        for n in (1, 2, 3, 5)
    ),
    *(
        (
            f"min_new_tokens({n})",
            lambda eos, n=n: MinNewTokensLengthLogitsProcessor(PROMPT, n, [eos, 5]),
        )
        for n in (3, 33, 34)
    ),
    *(
        (
            f"exponential_length({f}, start={s})",
            lambda eos, f=f, s=s: ExponentialDecayLengthPenalty((s, f), [eos, 5], PROMPT),
        )
        for f, s in ((1.01, 0), (1.6, 25), (1.6, 32), (1.6, 33), (3.0, 40))
    ),
    *((f"encoder_repetition({p})", lambda eos, p=p: encoder_repetition(p)) for p in (0.7, 1.3)),
    *((f"typical_p({p})", lambda eos, p=p: TypicalLogitsWarper(p)) for p in (0.1, 0.5, 0.9, 0.999)),
    *((f"epsilon_cutoff({e})", lambda eos, e=e: EpsilonLogitsWarper(e)) for e in (3e-4, 0.01, 0.5)),
    *((f"eta_cutoff({e})", lambda eos, e=e: EtaLogitsWarper(e)) for e in (3e-4, 0.004, 0.3)),
    *((f"top_h({h})", lambda eos, h=h: TopHLogitsWarper(h)) for h in (0.05, 0.4, 0.9)),
    (
        'logit_bias({"7": -2.5, "8": 100, "3 4": 6.5, "1 2 8": -50})',
        lambda eos: SequenceBiasLogitsProcessor(
            [[[7], -2.5], [[8], 100.0], [[3, 4], 6.5], [[1, 2, 8], -50.0]]
        ),
    ),
    (
        'bad_words(["7", "3 4", "0 1", "5 6", "8 8 8"])',
        lambda eos: NoBadWordsLogitsProcessor([[7], [3, 4], [0, 1], [5, 6], [8, 8, 8]]),
    ),
]


@pytest.mark.parametrize(("written", "theirs"), SCORES, ids=[written for written, _ in SCORES])
@pytest.mark.parametrize("vocab", [99, 3000])
@pytest.mark.parametrize("shape", ["logits", "log-softmax"])
def test_scores_equal_the_processor(written: str, theirs: Theirs, vocab: int, shape: str) -> None:
    generator = torch.Generator().manual_seed(vocab)
    scores = torch.randn(5, vocab, generator=generator) * torch.tensor([[0.3], [1], [2], [4], [9]])
    scores = scores.log_softmax(-1) if shape == "log-softmax" else scores
    ids = torch.randint(0, 9, (5, 40), generator=generator)  # few tokens, so that they repeat
    (processor,), _ = Recipe.parse(f"{written} | greedy").build(context(vocab, (EOS, 5)))
    mine = processor(scores, [Row(tuple(row), PROMPT) for row in ids.tolist()])
    expected = theirs(EOS)(ids, scores.clone())
    assert torch.equal(mine == -torch.inf, expected == -torch.inf)
    torch.testing.assert_close(mine, expected, rtol=1e-6, atol=1e-6)
