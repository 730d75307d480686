"""All texts of a column: their figures, means with intervals, and the tokens at one position."""

from __future__ import annotations

import math
import statistics

import pytest
from scipy import stats

from playground.engine import Request
from playground.explain.samples import at_position, mean, means, texts
from playground.metrics import measure_path
from playground.service import Service
from playground.settings import Settings
from playground.ui import all_texts as samples
from strategies.recipe import Recipe
from tests.folders import VOCAB, saved
from tests.tiny import tiny_llama


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = saved(tiny_llama(VOCAB), tmp_path_factory.mktemp("models") / "tiny")
    service = Service(Settings(model=str(folder), models=(), dtype="float32", history=False))
    asked = Request(
        prompt="Once",
        recipes=[Recipe.parse(text) for text in ("temperature(1.5) | sample(5)", "greedy")],
        max_new_tokens=6,
        min_new_tokens=6,
    )
    made = service.submit(asked)
    assert made.join(60)
    yield made.comparison()
    service.close()


def test_every_text_has_its_own_figures(run):
    lane = run.lanes[0]
    found = texts(lane)
    assert [one.output for one in found] == list(range(5))
    for one in found:
        path = lane.trace.path(one.output)
        assert one.metrics == measure_path(path)
        assert one.logprob == pytest.approx(sum(step.raw_logprob for step in path))


def test_the_interval_is_students(run):
    values = [3.0, 5.0, 4.5, None, math.inf, 6.0]
    known = [3.0, 5.0, 4.5, 6.0]
    found = mean("x", values)
    low, high = stats.t.interval(0.95, len(known) - 1, statistics.mean(known), stats.sem(known))
    assert found.mean == pytest.approx(statistics.mean(known)) and found.count == 4
    assert found.within == pytest.approx((high - low) / 2)
    assert mean("x", [2.0]).within is None and mean("x", [None]).mean is None
    assert [one.count for one in means(texts(run.lanes[1]))] == [1] * 6


def test_the_tokens_at_a_place_are_counted_over_all_texts(run):
    trace = run.lanes[0].trace
    for place in (0, 3, 5, 99):
        shares = at_position(trace, place)
        assert sum(one.count for one in shares) == len(trace.outputs)
        assert math.fsum(one.share for one in shares) == pytest.approx(1)
        known = [one.count for one in shares if one.token is not None]
        assert known == sorted(known, reverse=True)
    (ended,) = at_position(trace, 99)
    assert ended.token is None and ended.count == 5


def test_the_page_is_told_of_texts_and_not_of_their_records(run):
    told = samples.answer(run, samples.SamplesRequest(run="test", lane=0, place=2))
    assert len(told["texts"]) == 5 and told["sentence"].startswith("5 texts of one prompt.")
    assert [one["letter"] for one in told["means"]] == ["A", "B"]
    assert " ± " in told["means"][0]["figures"][2] and " ± " not in told["means"][1]["figures"][2]
    assert told["histogram"]["sentence"].startswith("Token 3: ")
    assert len(str(told)) < 12_000
    place = samples.answer(run, samples.SamplesRequest(run="test", lane=0, place=2, whole=False))
    assert place == {name: told[name] for name in ("last", "histogram")}
    alone = samples.answer(run, samples.SamplesRequest(run="test", lane=1))
    assert "one text" in alone["sentence"] and alone["texts"][0]["number"] == 1
    assert "fault" in samples.answer(None, samples.SamplesRequest(run="test", lane=0))
