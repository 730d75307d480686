"""Metrics of a trace against values computed by hand."""

import math

import pytest

from playground.metrics import distinct, measure, perplexity, repeated
from playground.trace import Candidates, Output, StepRecord, Times, Trace
from tests.traces import COLUMNS, chain, comparison


def step(index, token, probability, at, entropy=1.0, rank=1):
    return StepRecord(
        index=index,
        parent=index - 1 if index else None,
        token=token,
        text=str(token),
        raw_logprob=math.log(probability),
        logprob=math.log(probability),
        raw_rank=rank,
        rank=rank,
        raw_entropy=entropy,
        stages=[],
        candidates=Candidates(ids=[token], texts=[str(token)], raw=[probability], stages=[]),
        times=Times(forward=0.01, processors=0, search=0, record=0, forward_rows=1),
        at=at,
    )


def trace(steps, nodes=None):
    nodes = list(range(len(steps))) if nodes is None else nodes
    written = [steps[node].token for node in nodes]
    return Trace(
        chain=chain("greedy"),
        vocab_size=10,
        steps=steps,
        outputs=[Output(text="", token_ids=written, nodes=nodes)],
    )


def test_perplexity_is_the_inverse_geometric_mean_of_the_probabilities():
    measured = measure(trace([step(0, 1, 1 / 2, 0.1), step(1, 2, 1 / 8, 0.2)]))
    assert measured.perplexity == pytest.approx(4.0)  # (2 · 8) ** (1 / 2)


def test_perplexity_of_text_the_model_excludes_is_infinite():
    assert perplexity([-2000.0]) == math.inf


def test_means_are_of_the_raw_model():
    steps = [step(0, 1, 0.5, 0.1, entropy=1.0, rank=1), step(1, 2, 0.5, 0.2, entropy=2.5, rank=6)]
    measured = measure(trace(steps))
    assert measured.mean_entropy == pytest.approx(1.75)
    assert measured.mean_rank == pytest.approx(3.5)


@pytest.mark.parametrize(
    "tokens, n, expected",
    [
        ([1, 2, 3, 4], 2, 1.0),  # 12 23 34
        ([1, 2, 1, 2, 1], 2, 2 / 4),  # 12 21 12 21
        ([7, 7, 7, 7], 2, 1 / 3),  # 77 77 77
        ([7], 2, None),
        ([], 2, None),
        ([1, 2, 3], 4, None),
    ],
)
def test_distinct(tokens, n, expected):
    assert distinct(tokens, n) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    "tokens, expected",
    [
        ([1, 2, 3, 4], 0.0),
        ([1, 2, 3, 4, 1, 2, 3, 4], 1 / 5),  # 1234 2341 3412 4123 1234
        ([5] * 7, 3 / 4),  # 5555 four times
        ([1, 2, 3], None),
    ],
)
def test_repeated_4(tokens, expected):
    assert repeated(tokens, 4) == (None if expected is None else pytest.approx(expected))


def test_timings_count_from_the_submission_and_between_tokens():
    times = measure(trace([step(i, i, 0.5, at) for i, at in enumerate([0.5, 0.6, 0.9])])).timings
    assert times.first_token == 0.5
    assert times.decode == pytest.approx(0.4)
    assert times.per_token == pytest.approx(0.2)
    assert times.tokens_per_second == pytest.approx(5.0)


def test_one_token_has_no_decode():
    measured = measure(trace([step(0, 1, 0.5, 0.3)]))
    assert measured.timings.first_token == 0.3
    assert (measured.timings.decode, measured.timings.per_token) == (None, None)
    assert measured.timings.tokens_per_second is None
    assert (measured.distinct_2, measured.repeated_4) == (None, None)
    assert measured.perplexity == pytest.approx(2.0)


def test_no_token_has_no_number():
    measured = measure(trace([]))
    assert measured.tokens == 0
    assert measured.model_dump(exclude={"tokens", "timings"}) == {
        "perplexity": None,
        "mean_entropy": None,
        "mean_rank": None,
        "distinct_2": None,
        "repeated_4": None,
        "acceptance": None,
        "found": {},
    }


def test_acceptance_counts_what_was_drafted_and_judged():
    drafts = [None, 1, 2, 9]
    steps = [
        step(i, token, 0.5, 0.1).model_copy(update={"draft": draft})
        for i, (token, draft) in enumerate(zip([5, 1, 2, 3], drafts, strict=True))
    ]
    assert measure(trace(steps)).acceptance == pytest.approx(2 / 3)


def test_only_the_shown_text_counts():
    """A beam's trace is a tree: nodes of abandoned beginnings are in ``steps`` too."""
    steps = [step(0, 1, 1 / 2, 0.1), step(0, 2, 1 / 1000, 0.1), step(1, 3, 1 / 8, 0.2)]
    measured = measure(trace(steps, nodes=[0, 2]))
    assert measured.tokens == 2
    assert measured.perplexity == pytest.approx(4.0)


def test_greedy_takes_the_first_rank_and_repeats_more_than_a_penalised_text():
    greedy, _, penalised = (lane.metrics for lane in comparison(COLUMNS, length=40).lanes)
    assert greedy.mean_rank == 1.0
    assert greedy.repeated_4 > penalised.repeated_4
