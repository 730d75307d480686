"""What follows from a trace for other settings, against runs with those settings."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground import Playground
from playground.engine import Engine, Limits, Request
from playground.explain.replay import RecordedText, slack, text_slack, token_slack
from playground.explain.replay.outcome import SAME
from playground.trace import Comparison
from playground.trace.logits import STARTS, Logits, pack, placed, unpack
from strategies import Recipe
from tests.engine.models import finished, loaded
from tests.tiny import tiny_llama

VOCAB = 3000  # so that most tokens are not among those that are recorded
NEW = 24


@cache
def wide() -> Engine:
    model = loaded("llama")
    facts = model.facts.model_copy(update={"vocab_size": VOCAB})
    made = tiny_llama(vocab=VOCAB, context=128)
    return Engine(
        dataclasses.replace(model, model=made, facts=facts, eos_token_ids=(2,)),
        limits=Limits(new_tokens=64, columns=8),
        rows=16,
    )


def run(*recipes: str | Recipe, seed: int = 0, prompt: str = "Once", **more: object) -> Comparison:
    asked = {"prompt": prompt, "recipes": list(recipes), "max_new_tokens": NEW, "seed": seed}
    return finished(wide(), Request(**{**asked, **more}))


def tokens(comparison: Comparison, lane: int) -> list[int]:
    return [step.token for step in comparison.lanes[lane].trace.path()]


def parting(a: list[int], b: list[int]) -> int | None:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)


TRUNCATIONS = st.one_of(
    st.floats(0.2, 2.0).map(lambda v: f"temperature({v!r})"),
    st.sampled_from([1, 2, 5, 20, 50, 200]).map(lambda v: f"top_k({v})"),
    st.floats(0.05, 1.0).map(lambda v: f"top_p({v!r})"),
    st.floats(0.0, 0.3).map(lambda v: f"min_p({v!r})"),
)
OTHERS = st.one_of(
    st.floats(0.8, 1.6).map(lambda v: f"repetition_penalty({v!r})"),
    st.floats(-1.0, 2.0).map(lambda v: f"presence_penalty({v!r})"),
    st.floats(-1.0, 2.0).map(lambda v: f"frequency_penalty({v!r}, prompt=True)"),
    st.sampled_from([1, 2, 3]).map(lambda v: f"no_repeat_ngram({v})"),
    st.floats(0.0, 0.05).map(lambda v: f"eta_cutoff({v!r})"),
    st.floats(0.0, 0.02).map(lambda v: f"epsilon_cutoff({v!r})"),
    st.floats(0.0, 0.6).map(lambda v: f"top_a({v!r})"),
    st.just("p_less"),
    st.floats(0.05, 0.99).map(lambda v: f"typical_p({v!r})"),
    st.floats(0.3, 3.0).map(lambda v: f"top_n_sigma({v!r})"),
    st.floats(0.1, 0.99).map(lambda v: f"top_h({v!r})"),
    st.floats(0.01, 0.3).map(lambda v: f"xtc({v!r}, probability=0.7)"),
    st.just("p_less_norm"),
    st.floats(0.8, 3.0).map(lambda v: f"dynamic_temperature(0.6, high={v!r})"),
    st.floats(0.8, 1.6).map(lambda v: f"encoder_repetition({v!r})"),
    st.just("min_new_tokens(9)"),
    st.floats(0.0, 1.0).map(lambda v: f"quadratic({v!r}, curve=2.0)"),
    st.floats(0.3, 0.99).map(lambda v: f"tail_free({v!r})"),
    st.floats(0.0, 10.0).map(lambda v: f"min_k({v!r})"),
    st.floats(1.0, 1.3).map(lambda v: f"exponential_length({v!r}, start=3)"),
    st.just("stop_at_sentence(1)"),
    st.just("top_k(9) | synthid"),
    st.just("dry(0.8, allowed_length=1)"),
    st.floats(-5.0, 5.0).map(lambda v: f"logit_bias({{'70': {v!r}, 'e': {-v!r}}})"),
)


LASTS = st.one_of(  # those that remember how likely the tokens were, and come last
    st.floats(1.0, 9.0).map(lambda v: f"mirostat_v2({v!r}, eta=0.4)"),
    st.floats(0.3, 0.7).map(lambda v: f"adaptive_p({v!r})"),
)


def recipes(
    steps: st.SearchStrategy[str], lasts: st.SearchStrategy[str] | None = None
) -> st.SearchStrategy[str]:
    search = st.sampled_from(["sample", "sample", "sample", "greedy"])
    several = st.lists(steps, min_size=1, max_size=3, unique_by=lambda step: step.split("(")[0])
    last = st.none() if lasts is None else st.none() | lasts
    return st.tuples(several, last, search).map(
        lambda parts: " | ".join([*parts[0], *filter(None, parts[1:])])
    )


ANY = recipes(TRUNCATIONS | OTHERS, LASTS)


def check(first: str, second: str, seed: int) -> str:
    """Check what follows for the second recipe from the first one's text against a run of it."""
    comparison = run(first, second, seed=seed)
    found = comparison.what_if(0, second, context=wide().builder.context(NEW))
    a, b = tokens(comparison, 0), tokens(comparison, 1)
    where = parting(a, b)
    if found.unknown is not None and found.index is None:
        assert found.token is None
        return "unknown"
    assert found.index == where
    if found.unknown is None:
        assert found.token == (None if where is None else b[where])
    return "told" if found.unknown is None else "place alone"


@settings(max_examples=40, deadline=None)
@given(recipes(TRUNCATIONS), recipes(TRUNCATIONS), st.integers(0, 500))
def test_what_is_told_of_truncations_is_what_a_run_does(first: str, second: str, seed: int) -> None:
    check(first, second, seed)


@settings(max_examples=40, deadline=None)
@given(ANY, ANY, st.integers(0, 500))
def test_what_is_told_of_any_step_is_what_a_run_does(first: str, second: str, seed: int) -> None:
    check(first, second, seed)


def test_little_is_unknown_of_the_usual_truncations() -> None:
    """At temperatures from 0.2 to 2; most recipes that are tried have two or three of them."""
    dice, met = random.Random(7), Counter[str]()
    makers = (
        lambda: f"temperature({dice.uniform(0.2, 2.0):.3f})",
        lambda: f"top_k({dice.choice([2, 5, 20, 50, 200])})",
        lambda: f"top_p({dice.uniform(0.1, 1.0):.3f})",
        lambda: f"min_p({dice.uniform(0.0, 0.3):.3f})",
    )
    for seed in range(60):
        one, other = (
            " | ".join([*(make() for make in dice.sample(makers, dice.randint(1, 3))), "sample"])
            for _ in range(2)
        )
        met[check(one, other, seed)] += 1
    print(f"of 60 pairs of recipes over {VOCAB:,} tokens: {dict(met)}")
    assert met["unknown"] + met["place alone"] <= 6


BY_ALL = [
    "typical_p(0.9)", "top_n_sigma(1.0)", "top_h(0.4)", "xtc(0.1)", "p_less_norm",
    "quadratic(0.3)", "min_k(3.0)", "exponential_length(1.1)",
]  # fmt: skip


@pytest.mark.parametrize("step", BY_ALL)
def test_little_is_unknown_of_cuts_by_the_whole_distribution(step: str) -> None:
    other = f"{step} | temperature(0.9) | sample"
    met = Counter(check(f"temperature({0.8 + n / 20}) | sample", other, n) for n in range(10))
    print(step, dict(met))
    assert met["unknown"] + met["place alone"] <= 3


@pytest.mark.parametrize("step", ["mirostat_v2(4.0)", "adaptive_p(0.4)", "tail_free(0.6)"])
def test_steps_with_a_memory_and_by_the_shape_of_the_tail_are_followed(step: str) -> None:
    met = Counter(
        check("sample", f"temperature({0.8 + n / 20}) | {step} | sample", n) for n in range(10)
    )
    print(step, dict(met))
    assert met["unknown"] + met["place alone"] <= 6


def test_a_constraint_is_followed_where_what_it_leaves_was_recorded() -> None:
    own = "constrained(choices=['abc', 'abd', 'xyz']) | temperature(0.9) | sample"
    context = wide().builder.context(NEW)
    met = Counter[str]()
    for seed, other in enumerate((own.replace("0.9", "1.2"), own.replace("0.9", "0.7"))):
        comparison = run(own, other, seed=seed)
        found = comparison.what_if(0, other, context=context)
        a, b = tokens(comparison, 0), tokens(comparison, 1)
        assert found.unknown or found.index == parting(a, b)
        met["unknown" if found.unknown else "told"] += 1
    assert met["told"]


BY_THE_MODEL = [
    "constrained(regex='[a-f ]+') | sample", "prefix_forced('abc') | sample",
    "guidance(2.0) | sample", "contrastive_decoding | sample", "ban_phrases(['a']) | sample",
    "beam(3)", "sample(2)", "gumbel_watermark | sample", "tail_free(0.9) | sample",
]  # fmt: skip


@pytest.mark.parametrize("recipe", BY_THE_MODEL)
def test_where_the_trace_does_not_tell_the_model_does(recipe: str) -> None:
    playground = Playground.__new__(Playground)
    playground.engine = wide()
    for seed, sample in ((0, 0), (1, 1)):
        comparison = run("sample(2)", recipe, seed=seed)
        own, other = comparison.lanes[0].trace, comparison.lanes[1].trace
        a = [step.token for step in own.path(sample)]
        b = [step.token for step in other.path(sample)]
        if not b:  # it has one text, which was drawn with the first text's noise
            continue
        where = parting(a, b)
        where = len(b) if where is None and len(b) < len(a) else where
        found = playground.what_if(comparison, 0, recipe, sample=sample)
        assert found.index == where and found.stays == (len(a) if where is None else where)
        assert found.token == (None if where is None or where == len(b) else b[where])


def test_a_text_is_looked_at_with_the_noise_it_was_drawn_with() -> None:
    """A text whose index among the texts is not the number of its noise."""
    comparison = run("sample(3)", "temperature(0.6) | sample(3)", seed=4)
    a, b = ([s.token for s in comparison.lanes[lane].trace.path(2)] for lane in (0, 1))
    trace = comparison.lanes[0].trace
    trace.outputs = [trace.outputs[2]]
    found = comparison.what_if(0, "temperature(0.6) | sample(3)")
    assert found.unknown is None and found.index == parting(a, b)


def test_a_recipe_is_told_to_write_what_it_wrote() -> None:
    recipe = "temperature(0.9) | top_k(30) | sample"
    comparison = run(recipe, seed=3)
    assert comparison.what_if(0, recipe).index is None
    text = RecordedText(comparison, 0)
    processors, steps, search = text.built(Recipe.of(recipe).steps)
    scores = text.applied(text.known(), processors, steps, text.rows)
    found = text.outcomes(scores, search)
    assert list(found.tokens) == tokens(comparison, 0) and (found.fates == SAME).all()


def test_every_text_of_a_column_has_its_own_noise() -> None:
    comparison = run("sample(3)", "temperature(0.6) | sample(3)", seed=4)
    for sample in range(3):
        a, b = ([s.token for s in comparison.lanes[lane].trace.path(sample)] for lane in (0, 1))
        found = comparison.what_if(0, "temperature(0.6) | sample(3)", sample=sample)
        where = parting(a, b)
        assert found.index == where and found.unknown is None
        assert found.token == (None if where is None else b[where])


def test_a_loaded_trace_tells_without_a_model() -> None:
    comparison = run("temperature(0.8) | sample", "temperature(1.6) | sample", seed=1)
    saved = Comparison.from_json(comparison.to_json())
    assert saved.what_if(0, "temperature(1.6) | sample") == comparison.what_if(
        0, "temperature(1.6) | sample"
    )
    assert saved.what_if(0, "temperature(1.6) | sample").index == parting(
        tokens(comparison, 0), tokens(comparison, 1)
    )


@pytest.mark.parametrize(
    "recipe, reason",
    [
        ("beam(3)", "by the next token alone"),
        ("manual", "by the next token alone"),
        ("synthid | sample", "The step synthid cannot be followed"),
        ("guidance(2.0) | sample", "beside the text was not recorded"),
        ("bad_words(['x']) | sample", "with the model's tokenizer"),
    ],
)
def test_what_cannot_be_told_is_said_to_be_so(recipe: str, reason: str) -> None:
    found = run("sample").what_if(0, recipe)
    assert found.index is None and found.token is None
    assert found.unknown is not None and reason.lower() in found.unknown.lower()
    assert found.unknown.endswith(".")


def test_what_was_not_recorded_is_said_to_be_so() -> None:
    for comparison in (run("beam(2)"), run("sample", top_n=2)):
        assert comparison.lanes[0].trace.steps[0].logits == ""
        assert "does not hold the logits" in str(comparison.what_if(0, "greedy").unknown)
        assert all("does not hold" in str(s.unknown) for s in comparison.slack(0).values())


@settings(max_examples=12, deadline=None)
@given(recipes(TRUNCATIONS), st.integers(0, 500))
def test_slack_ends_where_a_run_changes(recipe: str, seed: int) -> None:
    comparison = run(recipe, seed=seed)
    own = tokens(comparison, 0)
    for name, found in comparison.slack(0).items():
        assert found.unknown is None and found.text is not None
        field = name.split(".")[1]
        assert found.text.low <= found.value <= found.text.high
        assert len(found.tokens) == len(own)
        for token in found.tokens:
            assert token.low <= found.text.high and token.high >= found.text.low
        # Just inside of both ends the text is the same; where it surely changes it is not.
        inside, outside = [found.text.low, found.text.high], [found.text.below, found.text.above]
        for value in [*inside, *(v for v in outside if v is not None)]:
            steps = Recipe.of(recipe).to_steps()
            old = steps[found.step]["params"][field]
            steps[found.step]["params"][field] = type(old)(value)
            again = tokens(run(Recipe.from_steps(steps), seed=seed), 0)
            assert (again == own) == (value in inside), (name, value)


@settings(max_examples=5, deadline=None)
@given(ANY, st.integers(0, 500))
def test_the_slack_of_the_text_alone_and_of_one_token_agree_with_the_whole(recipe, seed) -> None:
    hold_slacks_together(recipe, seed)


def test_slack_holds_where_a_step_may_leave_nothing() -> None:
    for steps in ("temperature(1.0) | mirostat_v2(1.0, eta=0.4)", "epsilon_cutoff(0.3) | top_h"):
        hold_slacks_together(f"top_k(9) | synthid | {steps} | sample", 0)


def hold_slacks_together(recipe: str, seed: int) -> None:
    """The slack of the text alone, and that of its third token, against the slack of each token."""
    text = RecordedText(run(recipe, seed=seed), 0, context=wide().builder.context(NEW))
    whole, alone = slack(text), text_slack(text)
    third = token_slack(text, 3)
    assert list(whole) == list(alone) == list(third)
    for name, told in whole.items():
        if told.text is None:
            assert alone[name].unknown == told.unknown
            continue
        quick, one = alone[name].text, third[name].text
        assert quick is not None and one is not None
        assert (quick.low, quick.high) == (told.text.low, told.text.high)
        assert one.low <= quick.low and quick.high <= one.high
        assert one.low <= told.tokens[3].high and told.tokens[3].low <= one.high


def test_slack_of_penalties_holds_too() -> None:
    recipe = "presence_penalty(0.5) | repetition_penalty(1.2) | temperature(0.7) | sample"
    comparison = run(recipe, seed=2)
    own, told = tokens(comparison, 0), 0
    for found in comparison.slack(0, context=wide().builder.context(NEW)).values():
        assert found.text is not None
        for value in (found.text.low, found.text.high):
            steps = Recipe.of(recipe).to_steps()
            field = found.setting.split(".")[1]
            old = steps[found.step]["params"][field]
            steps[found.step]["params"][field] = type(old)(value)
            assert tokens(run(Recipe.from_steps(steps), seed=2), 0) == own
            told += value != found.value
    assert told >= 4


def test_a_recipe_without_numbers_has_no_slack_and_two_like_steps_have_two() -> None:
    assert run("greedy").slack(0) == {}
    found = run("top_k(50) | temperature(0.9) | top_k(20) | sample").slack(0)
    assert list(found) == ["top_k.top_k", "temperature.temperature", "top_k#2.top_k"]


@given(st.integers(0, 2**32 - 1), st.booleans(), st.integers(8, 40))
def test_what_is_packed_comes_back(seed: int, halves: bool, candidates: int) -> None:
    dice = np.random.default_rng(seed)
    values = dice.standard_normal(candidates + 5).astype(np.float32)
    if halves:
        values = (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    counts = dice.integers(0, dice.choice([2, 300, 70_000]), len(STARTS) - 1)
    means = STARTS[:-1] + dice.random(len(STARTS) - 1) * np.diff(STARTS)
    ids = dice.permutation(100_000)[: candidates + 5]
    deepest = -float(np.float32(90 * dice.random())) if halves else -np.inf
    packed = pack(Logits(ids, values, candidates, counts, placed(means), deepest), candidates)
    found = unpack(packed, ids[:candidates].tolist())
    assert (found.ids == ids).all() and (found.values == values).all()
    assert found.likeliest == candidates and (found.counts == counts).all()
    assert found.deepest == deepest
    off = np.abs(found.means - means)[counts > 0]
    assert (off <= (found.slack * np.diff(STARTS))[counts > 0]).all()


@pytest.mark.parametrize("text", ["", "AAAA", "no base64!", "AQIUAAcAKIHHQbtB"])
def test_what_is_no_packed_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        unpack(text, list(range(20)))
