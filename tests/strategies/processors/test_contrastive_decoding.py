"""Contrastive decoding by hand, and with each amateur."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from strategies import DraftScores, EarlyLayers, Recipe, RecipeError, Refusal, Row
from strategies.base import Processor
from tests.strategies.driver import context

EXPERT = [0.5, 0.3, 0.17, 0.03]
AMATEUR = [0.7, 0.1, 0.1, 0.1]


def built(recipe: str, **about: object) -> Processor:
    (made,), _ = Recipe.parse(f"{recipe} | greedy").build(replace(context(4), **about))
    return made


def after(recipe: str, amateur: list[float] | None, shape: tuple[int, ...] = (4,)) -> list[float]:
    given = None if amateur is None else torch.tensor(amateur).log().reshape(shape)
    row = Row((0,), 1, given=given)
    out = built(recipe)(torch.tensor([EXPERT]).log(), [row])
    return out.softmax(-1)[0].tolist()


def expected(beta: float, amateur: list[float], kept: int) -> list[float]:
    weights = [e ** (1 + beta) / a**beta for e, a in zip(EXPERT, amateur, strict=True)]
    weights[kept:] = [0.0] * (4 - kept)
    return [w / sum(weights) for w in weights]


@pytest.mark.parametrize(
    ("recipe", "beta", "kept"),
    [
        ('contrastive_decoding(0.5, amateur="draft")', 0.5, 3),  # 0.03 is below a tenth of 0.5
        ('contrastive_decoding(2, alpha=0.01, amateur="draft")', 2, 4),
        ('contrastive_decoding(1, alpha=0.6, amateur="draft")', 1, 2),
        ('contrastive_decoding(1, alpha=1, amateur="draft")', 1, 1),
    ],
)
def test_by_hand(recipe: str, beta: float, kept: int) -> None:
    assert after(recipe, AMATEUR) == pytest.approx(expected(beta, AMATEUR, kept), abs=1e-6)


def test_one_early_layer_is_a_row_of_its_own() -> None:
    found = after("contrastive_decoding(0.5)", AMATEUR, (1, 4))
    assert found == pytest.approx(expected(0.5, AMATEUR, 3), abs=1e-6)


def test_the_model_at_a_higher_temperature_only_sharpens_itself() -> None:
    found = after('contrastive_decoding(1, amateur="temperature", temperature=2)', None)
    hot = [math.sqrt(p) for p in EXPERT]
    assert found == pytest.approx(expected(1, hot, 3), abs=1e-6)
    sharper = [p**1.5 for p in EXPERT[:3]]
    assert found[:3] == pytest.approx([p / sum(sharper) for p in sharper], abs=1e-6)


def test_a_token_that_the_amateur_does_not_have_is_no_surprise_to_it() -> None:
    found = after('contrastive_decoding(1, amateur="draft")', [0.5, 0.5, 0, 0])
    weights = [0.25 / 0.5, 0.09 / 0.5, 0.17, 0]
    assert found == pytest.approx([w / sum(weights) for w in weights], abs=1e-6)


def test_what_it_asks_for() -> None:
    def needs(recipe: str, **about: object) -> object:
        return built(recipe, **about).needs((0,))

    assert needs("contrastive_decoding", layers=30) == EarlyLayers((15,))
    assert needs("contrastive_decoding(layer=3)", layers=30) == EarlyLayers((3,))
    assert needs('contrastive_decoding(amateur="draft")') == DraftScores()
    assert needs('contrastive_decoding(amateur="temperature", temperature=2)') is None
    assert needs("contrastive_decoding(0)") is None
    for recipe, error in (
        ("contrastive_decoding(layer=30)", "of this model's 30 the last is the expert"),
        ('contrastive_decoding(amateur="draft")', "there is no draft model here"),
        ('contrastive_decoding(amateur="temperature")', "temperature is 1"),
    ):
        with pytest.raises(RecipeError, match=error):
            built(recipe, layers=30, draft_model=None)
    with pytest.raises(Refusal, match="is not read here"):
        built("contrastive_decoding")(torch.zeros(1, 4), [Row((0,), 1)])
