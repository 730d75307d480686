"""How likely a given text is to recipes, against runs and against plain sums over raw logits."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from playground.engine import Engine, FieldError, Limits, Request
from playground.engine.request import Cancelled, ScoreRequest
from playground.explain.replay.likelihood import RecipeLikelihood
from playground.trace.scores import RecipeScore, TextScore
from tests.engine.models import engine, finished, loaded

RECIPES = [
    "greedy",
    "sample",
    "temperature(1.7) | top_p(0.9) | sample",
    "top_k(12) | temperature(0.6) | sample",
    "repetition_penalty(1.3) | frequency_penalty(0.4) | sample",
    "presence_penalty(0.9) | no_repeat_ngram(2) | greedy",
    "logit_bias({'e': 3.0}) | min_p(0.1) | sample",
    "typical_p(0.7) | sample",
    "eta_cutoff(0.02) | epsilon_cutoff(0.01) | sample",
    "top_n_sigma(1.5) | sample",
    "top_h(0.6) | sample",
    "top_a(0.4) | sample",
    "tail_free(0.9) | sample",
    "dry(0.8, allowed_length=1) | sample",
    "xtc(0.05, probability=0.6) | sample",
    "dynamic_temperature(0.5, high=1.6) | quadratic(0.3) | sample",
    "guidance(1.8, negative_prompt='no') | sample",
    "watermark(bias=3.0) | sample",
    "p_less | sample",
    "mirostat_v2(3.0) | sample",
    "adaptive_p(0.4) | sample",
    "synthid | sample",
    "gumbel_watermark | sample",
    "min_k | sample",
    "encoder_repetition(1.2) | sample",
]


@cache
def served(kind: str = "llama") -> Engine:
    return engine(kind, limits=Limits(columns=32))


def scored(text: str | list[int], *recipes: str, kind: str = "llama", **more: Any) -> TextScore:
    asked = {"prompt": "Once upon", "recipes": list(recipes), "text": text, **more}
    return served(kind).score_text(ScoreRequest(**asked))


def logits(prompt: str, ids: list[int], kind: str = "llama") -> np.ndarray:
    """The model's own, before each token of the text, in one plain forward."""
    before = [token.id for token in served(kind).tokens(prompt)]
    with torch.inference_mode():
        found = served(kind).model.model(torch.tensor([before + ids])).logits[0]
    return found[len(before) - 1 : -1].double().numpy()


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("size", [256, 7])
def test_a_text_that_a_recipe_wrote_has_the_log_probabilities_of_its_run(
    recipe: str, size: int
) -> None:
    request = Request(prompt="Once upon", recipes=[recipe], max_new_tokens=24, seed=5)
    lane = finished(served(), request).lanes[0]
    before = served().forward.chunk_size
    served().forward.chunk_size = size
    try:
        found = scored(lane.token_ids, recipe, seed=5)
    finally:
        served().forward.chunk_size = before
    (own,) = found.recipes
    path = lane.trace.path()
    assert own.error is None and own.impossible is None and own.possible is True
    assert own.logprobs == pytest.approx([step.logprob for step in path], abs=2e-3)
    assert [t.logprob for t in found.tokens] == pytest.approx(
        [step.raw_logprob for step in path], abs=1e-3
    )
    assert found.text == lane.text
    assert own.found == pytest.approx(lane.metrics.found)  # those of detectors, which others lack
    assert own.logprob == pytest.approx(sum(step.logprob for step in path), abs=2e-2)


def test_early_layers_are_read_in_the_same_forward() -> None:
    deep = served("deep")
    request = Request(prompt="Once upon", recipes=["dola('high') | sample"], max_new_tokens=12)
    lane = finished(deep, request).lanes[0]
    (own,) = scored(lane.token_ids, "dola('high') | sample", kind="deep").recipes
    assert own.logprobs == pytest.approx([s.logprob for s in lane.trace.path()], abs=2e-3)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max())
    return e / e.sum()


def plain(z: np.ndarray, temperature: float, k: int, p: float) -> np.ndarray:
    """Temperature, top-k, top-p by the book, one row."""
    z = z / temperature
    kept = z >= np.sort(z)[::-1][min(k, len(z)) - 1]
    z = np.where(kept, z, -np.inf)
    order = np.argsort(-z)
    mass = np.cumsum(softmax(z)[order])
    count = int((mass < p).sum()) + 1
    return np.where(np.isin(np.arange(len(z)), order[:count]), z, -np.inf)


@settings(max_examples=25, deadline=None)
@given(
    text=st.lists(st.integers(3, 258), min_size=1, max_size=12),
    temperature=st.floats(0.3, 3.0),
    k=st.integers(20, 250),
    p=st.floats(0.6, 0.999),
)
def test_random_recipes_and_texts_equal_plain_arithmetic_on_raw_logits(
    text: list[int], temperature: float, k: int, p: float
) -> None:
    recipe = f"temperature({temperature!r}) | top_k({k}) | top_p({p!r}) | sample"
    (own,) = scored(text, recipe).recipes
    first = None
    for index, (row, token, logprob) in enumerate(
        zip(logits("Once upon", text), text, own.logprobs, strict=True)
    ):
        wanted = np.log(softmax(plain(row, temperature, k, p))[token] or np.nan)
        if math.isnan(wanted):
            first = index if first is None else first
            assert logprob is None
        else:
            assert logprob == pytest.approx(wanted, abs=1e-3)
    assert (own.impossible.index if own.impossible else None) == first
    assert own.possible == (first is None)


def test_greedy_says_where_it_would_have_gone_on_otherwise_and_by_how_much() -> None:
    lane = finished(
        served(), Request(prompt="Once upon", recipes=["greedy"], max_new_tokens=8)
    ).lanes[0]
    ids = list(lane.token_ids)
    rows = logits("Once upon", ids)
    second = int(np.argsort(-rows[5])[1])
    ids[5:] = [second, 40, 41]
    (own,) = scored(ids, "greedy").recipes
    found = own.impossible
    assert own.possible is False and found is not None
    assert (found.index, found.token, found.stage, found.rank) == (5, second, None, 2)
    assert found.margin == pytest.approx(rows[5].max() - rows[5][second], abs=1e-3)
    assert found.by == "greedy" and "takes the likeliest" in found.reason
    assert own.logprob is not None  # the probabilities are there all the same


def test_what_a_step_removed_is_told_with_what_would_have_done() -> None:
    rows = logits("Once upon", [3])
    worst = int(rows[0].argmin())
    found = scored([worst], "temperature(0.9) | top_k(4) | sample").recipes[0].impossible
    assert found is not None and found.stage == 1 and found.by == "top_k(4)"
    probabilities = softmax(rows[0] / 0.9)
    assert found.rank == len(rows[0])
    assert found.probability == pytest.approx(probabilities[worst], rel=1e-2)
    assert found.needed == pytest.approx(np.sort(probabilities)[-4], rel=1e-3)
    assert found.margin == pytest.approx(math.log(found.needed / found.probability), abs=1e-3)
    assert "removed by top_k(4)" in found.reason and found.reason.endswith(".")


def test_a_step_that_keeps_less_likely_tokens_has_no_margin() -> None:
    best = int(logits("Once upon", [3])[0].argmax())
    found = scored([best], f"logit_bias({{'{best}': -100.0}}) | top_k(3) | sample").recipes[0]
    assert found.impossible is not None and found.impossible.margin is not None
    banned = scored([65, 65, 65], "no_repeat_ngram(1) | sample").recipes[0].impossible
    assert banned is not None and banned.needed is None and banned.margin is None


def test_nothing_is_written_after_an_end() -> None:
    ending = engine(eos=(2,))
    ids = [token.id for token in ending.tokens("ab")]
    asked = ScoreRequest(prompt="x", recipes=["sample"], text=[ids[0], 2, ids[1]])
    found = ending.score_text(asked).recipes[0].impossible
    assert found is not None and found.index == 2 and "ends a text" in found.reason


def test_a_search_of_whole_texts_is_said_to_be_one() -> None:
    for recipe in ("beam(3)", "beam_sample(2)", "contrastive(0.6)"):
        (own,) = scored("hello", recipe).recipes
        assert own.possible is None and own.impossible is None and own.logprob is not None
    (own,) = scored("hello", "manual").recipes
    assert own.possible is True and "person" in own.meaning


def test_nothing_is_told_of_a_state_after_a_token_that_cannot_be() -> None:
    worst = int(logits("Once upon", [3])[0].argmin())
    (own,) = scored([worst, 70, 71], "mirostat_v2(0.5) | sample").recipes
    assert own.logprobs == [None, None, None] and own.impossible is not None


@settings(max_examples=12, deadline=None)
@given(text=st.lists(st.integers(3, 258), min_size=1, max_size=8))
def test_the_likeliest_temperature_and_top_p_are_found(text: list[int]) -> None:
    found, rows = scored(text, "sample"), logits("Once upon", text)

    def loss(beta: float) -> float:
        return -sum(
            beta * row[token] - beta * row.max() - math.log(np.exp(beta * (row - row.max())).sum())
            for row, token in zip(rows, text, strict=True)
        )

    for point in found.temperature.points[1:]:
        assert point.logprob == pytest.approx(-loss(1 / point.value), abs=5e-3)
    best = minimize_scalar(loss, bounds=(0.2, 10.0), method="bounded", options={"xatol": 1e-7})
    if best.x < 9.99 and found.temperature.best > 0:
        assert found.temperature.best_logprob == pytest.approx(-best.fun, abs=5e-3)
        assert 1 / found.temperature.best == pytest.approx(best.x, rel=2e-2, abs=2e-3)
    assert found.temperature.at_limit == (
        loss(0.2) < loss(0.2001) and found.temperature.best == 5.0
    )
    before = max(
        softmax(row)[row > row[token]].sum() for row, token in zip(rows, text, strict=True)
    )
    assert found.top_p.best == pytest.approx(min(1.0, before), abs=1e-4)
    values = [point.value for point in found.top_p.points]
    assert values == sorted(values)
    recipes = [f"top_p({point.value!r}) | sample" for point in found.top_p.points]
    for point, own in zip(found.top_p.points, scored(text, *recipes).recipes, strict=True):
        assert (own.logprob is None) == (point.logprob is None)
        if point.logprob is not None:
            assert own.logprob == pytest.approx(point.logprob, abs=5e-3)
    below = scored(text, f"top_p({max(0.0, found.top_p.best - 1e-4)!r}) | sample").recipes[0]
    assert below.possible is False or found.top_p.best < 2e-4


def test_greedys_text_is_likeliest_at_temperature_0() -> None:
    lane = finished(
        served(), Request(prompt="Once upon", recipes=["greedy"], max_new_tokens=8)
    ).lanes[0]
    curve = scored(lane.token_ids, "sample").temperature
    assert (curve.best, curve.best_logprob, curve.points[0].logprob) == (0.0, 0.0, 0.0)


def test_words_are_cut_as_they_go_on_after_the_prompt() -> None:
    found = scored(" a time, é", "greedy", "sample")
    assert found.text == " a time, é" and len(found.recipes) == 2
    whole = [token.id for token in served().tokens("Once upon a time, é")]
    assert whole[found.prompt_tokens :] == [token.id for token in found.tokens]
    assert TextScore.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    "change, field",
    [
        ({"text": ""}, "text"),
        ({"text": [9999]}, "text"),
        ({"text": [70] * 128}, "text"),
        ({"prompt": ""}, "prompt"),
        ({"recipes": []}, "recipes"),
        ({"recipes": ["greedy"] * 33}, "recipes"),
        ({"recipes": ["greedy", "logit_bias({'99999': 1.0}) | greedy"]}, "recipes.1"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_cannot_be_scored_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldError) as error:
        served().score_text(
            ScoreRequest(**{"prompt": "a", "recipes": ["greedy"], "text": "b", **change})
        )
    assert error.value.field == field


def test_it_ends_where_nobody_waits() -> None:
    with pytest.raises(Cancelled):
        served().score_text(
            ScoreRequest(prompt="a", recipes=["greedy"], text="b"), cancelled=lambda: True
        )


def test_a_failing_plugin_ends_its_own_recipe_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from strategies.registry import registry

    def broken(self: Any, scores: Any, rows: Any) -> Any:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(registry().strategies["top_a"], "__call__", broken)
    bad, good = scored("hello", "top_a(0.1) | sample", "sample").recipes
    assert bad.error == "ZeroDivisionError: by nothing" and bad.possible is None
    assert bad.logprobs == [None] * 5 and good.logprob is not None


def test_a_recipes_own_text_is_at_most_a_close_call_in_16_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Written token by token and read at once, numbers of 16 bits are rounded otherwise."""
    recipes = ["greedy", "temperature(0.9) | top_p(0.8) | sample", "min_p(0.1) | sample"]
    served_16 = Engine(loaded("deep", dtype=torch.bfloat16))

    def verdicts() -> list[RecipeScore]:
        found = []
        for seed in range(6):
            asked = Request(prompt="Once upon", recipes=recipes, max_new_tokens=60, seed=seed)
            for recipe, lane in zip(recipes, finished(served_16, asked).lanes, strict=True):
                request = ScoreRequest(
                    prompt="Once upon", text=lane.token_ids, recipes=[recipe], seed=seed
                )
                found += served_16.score_text(request).recipes
        return found

    assert all(one.impossible is None or one.impossible.within_rounding for one in verdicts())
    assert all(one.possible is not False for one in verdicts())
    monkeypatch.setattr(RecipeLikelihood, "_is_close", lambda *given: False)
    assert any(one.possible is False for one in verdicts()), "the model must show what is prevented"
