"""The benches measure every strategy, and both sides in the same way."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from playground.bench import experiment, gpu, six, soak, strategies
from playground.bench.readme import write
from playground.bench.strategies import Report, usual
from strategies.registry import registry
from tests.folders import VOCAB, saved
from tests.tiny import tiny_llama

ROOT = Path(__file__).parents[1]
FORWARDS = {  # beside dola, which the tiny model is too flat for
    "contrastive_decoding": "earlier layers",
    "power_sample": "drafts",
    "speculative": "drafts",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = saved(tiny_llama(vocab=VOCAB, context=256), tmp_path_factory.mktemp("tiny"))
    return strategies.measure(str(folder), tokens=6, repeats=1, prompt_tokens=100)


def test_every_strategy_has_a_line(report: Report) -> None:
    assert [line.strategy for line in report.measured] == list(registry().strategies)
    assert report.prompt_tokens >= 100
    refused = [line for line in report.measured if line.refused]
    assert "dola" in [line.strategy for line in refused]
    reasons = ("2", "person", "another model")
    assert all(any(reason in line.refused for reason in reasons) for line in refused)
    for line in report.measured:
        assert line.refused or (line.share != 0.0 and line.steps > 0)
        assert str(line) in str(report) and str(line).count("|") - str(line).count("\\|") == 6


def test_what_costs_a_forward_is_told_apart(report: Report) -> None:
    apart = {line.strategy: line.reads_more for line in report.measured if line.reads_more}
    assert apart.keys() == FORWARDS.keys()
    assert all(word in apart[name] for name, word in FORWARDS.items())
    against = {line.strategy: (line.against, line.rows) for line in report.measured}
    assert against["diverse_beam"] == against["contrastive"] == ("sample(4)", 4)
    assert against["guidance"] == ("sample(2)", 2)
    assert against["sample"] == ("greedy", 1) and against["top_p"] == ("sample", 1)
    first = json.loads(json.dumps(asdict(report)))["measured"][0]
    assert first["strategy"] == next(iter(registry().strategies))


@pytest.mark.parametrize("name", registry().strategies)
def test_a_strategy_is_measured_where_it_does_something(name: str) -> None:
    plugin = registry().get(name)
    assert not plugin.is_neutral(plugin.Params(**usual(plugin)))


def test_six_strategies_are_measured_both_ways(tmp_path: Path) -> None:
    folder = saved(tiny_llama(vocab=VOCAB, context=128), tmp_path)
    found = six.compare(str(folder), tokens=5, repeats=2)
    assert found.rows == 9 and found.ratio_least <= found.ratio <= found.ratio_most
    assert min(found.generate_s, found.comparison_s, found.one_lane_ms, found.many_lanes_ms) > 0
    assert found.forward_ms < found.step_ms and found.static_s is None
    assert f"a step of 16 lanes        {found.many_lanes_ms:8.1f} ms" in str(found)
    assert f"{found.lone_ms:8.1f} ms, computed as {found.lone_rows}; {found.bare_ms:.1f} ms" in str(
        found
    )
    assert "static cache        1.50 s" in str(replace(found, static_s=1.5))


def test_an_experiment_is_measured_whole_and_the_calls_by_a_sample(tmp_path: Path) -> None:
    folder = saved(tiny_llama(vocab=VOCAB, context=512), tmp_path)
    found = experiment.compare(str(folder), tokens=5, prompts=3, seeds=2, sample=8)
    assert (found.texts, found.sampled) == (24, 8)
    assert found.call_least_s <= found.call_s <= found.call_most_s
    assert found.generate_s == pytest.approx(24 * found.call_s)
    assert found.experiment_s > found.findings_s > 0
    assert found.ratio == found.generate_s / found.experiment_s
    assert "estimated from 8 of them" in " ".join(str(found).split())
    assert "all of them timed" in " ".join(str(replace(found, sampled=24)).split())
    asked = experiment.question(20, 8, 64)
    assert asked.cells == 640 and len({prompt.name.split()[0] for prompt in asked.prompts}) == 6
    timed = experiment.sample_of(asked, 24)
    assert len(set(timed)) == 24 and {recipe for recipe, _ in timed} == {0, 1, 2, 3}
    assert len(experiment.sample_of(asked, 640)) == 640


@pytest.mark.parametrize(
    "resident, level",
    [
        ([500, 700, 800, 850, 880, 890, 895, 898, 900], True),
        ([500, 600, 700, 800, 900, 1000, 1100, 1200, 1300], False),
        ([900, 900, 900, 900, 900, 900, 920, 940, 960], False),
    ],
)
def test_a_soak_tells_growth_from_a_level(resident: list[int], level: bool) -> None:
    report = soak.Report(900, [mb << 20 for mb in resident], 200, 0.1, 0.5, 60.0, 0)
    assert report.level == report.passed == level
    assert ("levels off" in str(report)) == level


def test_a_soak_fails_where_a_run_is_left_or_another_client_waited() -> None:
    report = soak.Report(100, [1], 200, 0.1, 0.5, 60.0, 0)
    assert report.passed and not replace(report, left_behind=1).passed
    assert not replace(report, beside_stalled_s=soak.WAIT_S + 1).passed


def test_what_a_gpu_does_is_tried_on_the_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "DTYPES", gpu.DTYPES[:2])
    report = gpu.measure("cpu", ["tiny"], tokens=4, seconds=300)
    assert not report.faults and report.passed
    assert [line.dtype for line in report.models] == list(gpu.DTYPES)
    for line in report.models:
        assert 0 < line.nine_rows_forward_ms < line.nine_rows_ms and line.limit_ms > 0
        assert line.alone_is_equal and line.eager_is_equal and not line.graphs
    readme = tmp_path / "README.md"
    readme.write_text((ROOT / "README.md").read_text())
    end = "<!-- /gpu-bench -->"
    for _ in range(2):  # what was there is replaced
        write(report, readme, "gpu")
        text = readme.read_text()
        assert text.count(str(report)) == 1 and "Untested: no GPU" not in text
    assert text.split(end)[1] == (ROOT / "README.md").read_text().split(end)[1]


def test_a_gpu_that_breaks_a_bit_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "DTYPES", ("float32",))
    monkeypatch.setattr(gpu, "_each_alone_is_equal", lambda engine, tokens: False)
    report = gpu.measure("cpu", ["tiny"], tokens=3, seconds=300)
    assert not report.passed and "**no**" in str(report)
    late = gpu.measure("cpu", ["tiny"], tokens=3, seconds=0)
    assert not late.passed and "was not reached" in str(late)
