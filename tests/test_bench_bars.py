"""Goals are shown beside the limits of this machine, and growth as a power."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from playground.bench import bars, clicks, growth, load
from playground.bench.__main__ import main
from playground.bench.bars import Bar
from playground.bench.conditions import Conditions
from playground.bench.growth import Curve, Point
from tests.folders import VOCAB, saved
from tests.tiny import tiny_llama


def test_a_bar_says_whether_it_is_reached_and_what_would_be() -> None:
    bar = Bar("a step", 2.5, 3.0, "times", limit=1.5, limit_is="its products alone")
    assert not bar.reached and not bar.forbidden and bar.share == 0.5
    assert str(bar).endswith(
        "| at most 2.5 times | 3.0 times | **no** | 1.5 times: its products alone; 50% of it |"
    )
    assert "| yes |" in str(replace(bar, found=2.5))
    most = Bar("throughput", 5, 3.0, "times", True, limit=4.0, limit_is="products")
    assert most.forbidden and most.share == 0.75
    assert "| at least 5.0 times | 3.0 times | not on this machine |" in str(most)
    assert "| yes | 4.0 times" in str(replace(most, found=5.0))
    assert str(Bar("texts", 1, 1.0, "%", True)).endswith("| at least 100% | 100% | yes |  |")


def test_the_engine_s_bars_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_TRACE_STEPS", "0")
    monkeypatch.setattr(bars, "CROWD", 6)
    folder = saved(tiny_llama(vocab=VOCAB, context=128), tmp_path)
    report = bars.measure(str(folder), tokens=5, repeats=1, parts=["engine"])
    assert [bar.goal for bar in report.bars] == [12, 2.5, 1.4, 0.15]
    assert all(bar.found > 0 for bar in report.bars)
    assert [bar.limit is not None for bar in report.bars] == [True, True, True, False]
    assert str(report).count("\n| ") == 5


def test_the_clients_bars_follow_from_their_visits(monkeypatch: pytest.MonkeyPatch) -> None:
    def visits(model: str | None, tokens: int, counts: list[int]) -> list[load.Report]:
        assert counts == [30, 100]
        return [
            load.Report(
                clients=count, lanes=3, tokens_each=tokens, seconds=10.0, tokens_per_second=100.0,
                first_p50=1.0, first_p95=2.0, first_most=count / 10, between_p50=0.1,
                between_p95=0.2, slowest=9.0, serial_s=count * 1.0, serial_measured=12,
                serial_first_p95=9.0, throughput_ratio=3.0, same_texts=12,
            )
            for count in counts
        ]  # fmt: skip

    monkeypatch.setattr(load, "measure", visits)
    throughput, first, same = bars._clients(None, 50, wide_ms=120.0)
    # 50 steps of 90 rows take 6 s at least, and the 30 clients take 30 s one by one.
    assert throughput.limit == pytest.approx(5.0) and throughput.share == pytest.approx(0.6)
    assert (first.found, first.reached, same.found) == (10.0, True, 1.0)


def test_the_slowest_tab_s_token_is_a_bar_and_a_part_that_fails_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def clicked(tokens: int, repeats: int) -> clicks.Report:
        one = clicks.Clicked.of([70.0, 80.0, 90.0])
        tabs = [
            clicks.Tab("Why", 60.0, one, one),
            clicks.Tab("What if", 60.0, one, clicks.Clicked.of([99.0, 120.0])),
        ]
        return clicks.Report("here", "today", 6, tokens, 7.5, tabs, one, one)

    def failing(*given: object) -> None:
        raise RuntimeError("no port is free")

    monkeypatch.setattr(clicks, "measure", clicked)
    monkeypatch.setattr(bars, "_program", failing)
    engine = SimpleNamespace(join_tracing=lambda: None)
    monkeypatch.setattr("playground.Playground", lambda *_, **__: SimpleNamespace(engine=engine))
    here = asdict(Conditions("tiny", "here", "float32", 1, "today"))
    monkeypatch.setattr(Conditions, "of", lambda own: here)
    report = bars.measure(None, tokens=5, repeats=1, parts=["program", "page"])
    assert report.absent == {"program": "RuntimeError: no port is free"}
    (bar,) = report.bars
    assert (bar.goal, bar.found) == (100.0, 109.5)
    assert bar.what == "a click on a token, 6 columns of 512 tokens (What if)"


def test_growth_is_measured_in_each_direction_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAYGROUND_TRACE_STEPS", "0")
    small = {
        "ROWS": (1, 3), "PROMPT_TOKENS": (8, 64), "NEW_TOKENS": (8, 20), "COLUMNS": (1, 2),
        "CANDIDATES": (1, 5), "CLIENTS": (1, 2),
    }  # fmt: skip
    for name, values in small.items():
        monkeypatch.setattr(growth, name, values)
    folder = saved(tiny_llama(vocab=VOCAB, context=128), tmp_path)
    report = growth.measure(str(folder))
    assert [[point.at for point in curve.points] for curve in report.curves] == [
        list(values) for values in small.values()
    ]
    for curve in report.curves:
        assert all(0 < point.forward_ms and 0 < point.step_ms for point in curve.points)
    assert str(report).count("\n| ") == 13
    report.plot(tmp_path / "growth.html")
    assert "new tokens of 6 columns" in (tmp_path / "growth.html").read_text()
    assert growth.measure(str(folder), ["candidates"]).curves[0].points[1].at == 5


def test_the_bench_writes_a_table_and_a_plot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str | None, list[str]]] = []

    def measured(model: str | None, only: list[str]) -> growth.Report:
        asked.append((model, only))
        curve = Curve("rows", [Point(1, 10.0, 8.0)])
        return growth.Report("a model", "a machine", "float32", 2, "2026-11-28", [curve])

    monkeypatch.setattr(growth, "measure", measured)
    readme, plot = tmp_path / "README.md", tmp_path / "growth.html"
    readme.write_text("before <!-- growth-bench -->\nold\n<!-- /growth-bench --> after")
    main(["growth", "--only", "rows", "--write", str(readme), "--plot", str(plot)])
    assert asked == [(None, ["rows"])]
    text = readme.read_text()
    assert "| rows, as the power 0.00 | 1 | 10.0 | 8.0 | 2.0 |  |" in text and "old" not in text
    assert text.startswith("before") and text.endswith("after") and plot.stat().st_size > 1000


def test_a_curve_tells_the_power_it_grows_with() -> None:
    curve = Curve("rows", [Point(1, 10.0, 8.0), Point(100, 100.0, 60.0)])
    assert curve.power == pytest.approx(0.5) and curve.points[1].beside_ms == 40.0
    assert Curve("rows", [Point(1, 10.0, 8.0)]).power == 0.0
    assert "as the power 0.50" in next(curve.lines())
