"""The watermark is transformers' own, and its detector finds what was written with it."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    PreTrainedConfig,
    WatermarkDetector,
    WatermarkingConfig,
    WatermarkLogitsProcessor,
)

from strategies import Processor, Recipe, Row
from tests.strategies.driver import context, run, transitions

VOCAB = 500
FLAT = torch.full((VOCAB, VOCAB), 1 / VOCAB)


def watermark(written: str) -> Processor:
    (made,), _ = Recipe.parse(f"{written} | greedy").build(context(VOCAB))
    return made


@pytest.mark.parametrize(
    ("written", "settings"),
    [
        ("watermark", {}),
        (
            "watermark(0.5, bias=4.0, hashing_key=17)",
            {"greenlist_ratio": 0.5, "hashing_key": 17, "bias": 4.0},
        ),
        ("watermark(0.1, bias=0.5)", {"greenlist_ratio": 0.1, "bias": 0.5}),
    ],
)
def test_scores_and_z_are_those_of_transformers(written: str, settings: dict[str, float]) -> None:
    mine = watermark(written)
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(4, VOCAB, generator=generator)
    ids = torch.randint(3, VOCAB, (4, 60), generator=generator)
    rows = [Row(tuple(row), 11) for row in ids.tolist()]
    theirs = WatermarkLogitsProcessor(VOCAB, "cpu", **settings)
    assert torch.equal(mine(scores, rows), theirs(ids, scores))

    config = PreTrainedConfig(vocab_size=VOCAB, bos_token_id=1)
    detector = WatermarkDetector(config, "cpu", WatermarkingConfig(**settings))
    found = detector(ids[:, 10:], return_dict=True)  # the prompt's last token seeds the first list
    for row, z, green in zip(rows, found.z_score, found.green_fraction, strict=True):
        assert mine.measure(row) == pytest.approx({"green tokens": green, "watermark z": z})


def test_a_marked_text_shows_and_a_plain_one_does_not() -> None:
    detector = watermark("watermark")
    assert detector.measure(Row((1, 2), 2)) == {}
    for seed in range(3):
        marked = run(transitions(FLAT), "watermark | sample", (1,), max_new_tokens=80, seed=seed)
        plain = run(transitions(FLAT), "sample", (1,), max_new_tokens=80, seed=seed)
        assert detector.measure(marked[0])["watermark z"] > 4
        assert abs(detector.measure(plain[0])["watermark z"]) < 4


def test_other_strategies_measure_nothing() -> None:
    (top_k,), _ = Recipe.parse("top_k(5) | greedy").build(context(VOCAB))
    assert top_k.measure(Row((1, 2, 3), 1)) == {}
