"""Every processor that transformers 5.23 and 5.24 also has, on drawn settings, texts and scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
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
    WatermarkLogitsProcessor,
)

from strategies import Recipe, Row
from tests.strategies.driver import context

PROMPT, ENDS = 4, [18, 19]  # of which no word or bias is
VOCAB = st.integers(20, 300)
share = st.floats(0.01, 0.99)

# A drawn setting: how a recipe writes it, and what transformers has for it in a vocabulary.
Pair = tuple[str, Callable[[int], Any]]


@st.composite
def drawn(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """A text ``[1, n]`` of few tokens, so that they repeat, and scores ``[1, vocab]``.

    No two scores are tied, in which we keep both and transformers one; some may be removed.
    """
    vocab, seed = draw(VOCAB), draw(st.integers(0, 10**6))
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(1, vocab, generator=generator) * draw(st.sampled_from([0.2, 1, 3, 9, 40]))
    if draw(st.booleans()):
        scores = scores.log_softmax(-1)
    gone = torch.rand(1, vocab, generator=generator) < draw(st.sampled_from([0, 0, 0.3, 0.9]))
    gone[0, scores.argmax()] = False
    length = draw(st.integers(PROMPT, 40))
    text = torch.randint(0, draw(st.integers(2, 19)), (1, length), generator=generator)
    return text, scores.masked_fill(gone, -torch.inf)


def biases(values: dict[tuple[int, ...], float]) -> Pair:
    written = ", ".join(f'"{" ".join(map(str, key))}": {v!r}' for key, v in values.items())
    listed = [[list(key), value] for key, value in values.items()]
    return f"logit_bias({{{written}}})", lambda vocab: SequenceBiasLogitsProcessor(listed)


def words(sequences: set[tuple[int, ...]]) -> Pair:
    written = ", ".join(f'"{" ".join(map(str, tokens))}"' for tokens in sorted(sequences))
    listed = [list(tokens) for tokens in sorted(sequences)]
    return f"bad_words([{written}])", lambda vocab: NoBadWordsLogitsProcessor(listed)


def one(values: st.SearchStrategy[Any], written: str, theirs: Callable[[Any], Any]) -> Any:
    return values.map(lambda value: (written.format(value), lambda vocab: theirs(value)))


sequence = st.lists(st.integers(0, 9), min_size=1, max_size=3).map(tuple)
SETTINGS: dict[str, st.SearchStrategy[Pair]] = {
    "temperature": one(st.floats(0.01, 5), "temperature({})", TemperatureLogitsWarper),
    "top_k": one(st.integers(1, 400), "top_k({})", TopKLogitsWarper),
    "top_p": one(share, "top_p({})", TopPLogitsWarper),
    "min_p": one(share, "min_p({})", MinPLogitsWarper),
    "typical_p": one(share, "typical_p({})", TypicalLogitsWarper),
    "epsilon_cutoff": one(st.floats(1e-4, 0.9), "epsilon_cutoff({})", EpsilonLogitsWarper),
    "eta_cutoff": one(st.floats(1e-4, 0.9), "eta_cutoff({})", EtaLogitsWarper),
    "top_h": one(share, "top_h({})", TopHLogitsWarper),
    "repetition_penalty": one(
        st.floats(0.1, 9), "repetition_penalty({})", RepetitionPenaltyLogitsProcessor
    ),
    "repetition_penalty, generated": one(
        st.floats(0.1, 9),
        "repetition_penalty({}, prompt=False)",
        lambda r: RepetitionPenaltyLogitsProcessor(r, prompt_ignore_length=PROMPT),
    ),
    "no_repeat_ngram": one(st.integers(1, 5), "no_repeat_ngram({})", NoRepeatNGramLogitsProcessor),
    "min_new_tokens": one(
        st.integers(1, 50),
        "min_new_tokens({})",
        lambda n: MinNewTokensLengthLogitsProcessor(PROMPT, n, ENDS),
    ),
    "exponential_length": st.tuples(st.floats(1, 3), st.integers(0, 40)).map(
        lambda s: (
            f"exponential_length({s[0]}, start={s[1]})",
            lambda vocab: ExponentialDecayLengthPenalty((s[1], s[0]), ENDS, PROMPT),
        )
    ),
    "encoder_repetition": one(
        st.floats(0.1, 9),
        "encoder_repetition({})",
        lambda r: (
            lambda ids, scores: EncoderRepetitionPenaltyLogitsProcessor(r, ids[:, :PROMPT])(
                ids, scores
            )
        ),
    ),
    "logit_bias": st.dictionaries(sequence, st.floats(-9, 9), min_size=1, max_size=5).map(biases),
    "bad_words": st.sets(sequence, min_size=1, max_size=5).map(words),
    "watermark": st.tuples(share, st.floats(0.5, 5), st.integers(1, 10**6)).map(
        lambda s: (
            f"watermark({s[0]}, bias={s[1]}, hashing_key={s[2]})",
            lambda vocab: WatermarkLogitsProcessor(
                vocab, "cpu", greenlist_ratio=s[0], bias=s[1], hashing_key=s[2]
            ),
        )
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
@given(data=st.data(), at_hand=drawn())
def test_scores_equal_those_of_transformers(
    name: str, data: st.DataObject, at_hand: tuple[Tensor, Tensor]
) -> None:
    text, scores = at_hand
    written, theirs = data.draw(SETTINGS[name])
    (processor,), _ = Recipe.parse(f"{written} | greedy").build(context(scores.shape[-1], ENDS))
    mine = processor(scores, [Row(tuple(text[0].tolist()), PROMPT)])
    expected = theirs(scores.shape[-1])(text, scores.clone())
    assert torch.equal(mine == -torch.inf, expected == -torch.inf), written
    torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-5)
