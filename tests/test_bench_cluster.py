"""The simulation of many clients: what can be reckoned by hand comes out of it."""

from __future__ import annotations

import pytest

from playground.bench.cluster import Experimented, Report, Served
from playground.bench.simulation import Crowd, Step, fitted, simulate

STEP = Step(base=0.05, per_row=0.001, prefill=0.1)


def test_alone_a_run_takes_its_prompt_and_its_steps():
    found = simulate(1, Crowd(1, lanes=3, tokens=10, pause=1000.0), STEP, seconds=20_000.0)
    alone = 0.1 + 10 * (0.05 + 3 * 0.001)
    assert found.wait_p99 == 0 and found.whole_p50 == pytest.approx(alone)
    assert found.first_p95 == pytest.approx(0.1 + 0.053)
    assert found.fairness == 1.0


def test_what_does_not_fit_waits_in_line():
    crowd = Crowd(40, lanes=3, tokens=50, pause=1.0)
    few = simulate(1, crowd, STEP, rows=12, seconds=600.0)
    many = simulate(10, crowd, STEP, rows=12, seconds=600.0)
    assert few.wait_p50 > 10 * max(many.wait_p50, 0.01) and few.busy > 0.9
    # Four runs at a time: each has 50 steps of 12 rows, and the reading of its prompt.
    full = 12 / (STEP.seconds(12) + 4 * STEP.prefill / 50)
    assert few.tokens_per_second == pytest.approx(full, rel=0.05)
    assert few.fairness > 0.9


def test_a_line_is_fitted_to_what_was_measured():
    step = fitted([3, 30, 90], [0.053, 0.08, 0.14], 0.1)
    assert step.base == pytest.approx(0.05) and step.per_row == pytest.approx(0.001)


def test_the_report_tells_apart_what_was_measured_and_what_is_reckoned():
    served = [
        Served("embedded", 30, 10.0, 576.0, 1.0, 2.0, None, None),
        Served("2 replicas", 30, 10.5, 548.6, 1.1, 2.1, 1.5, 3.0),
    ]
    simulated = [simulate(2, Crowd(10), STEP, seconds=300.0)]
    experiments = [Experimented("embedded", 60, 20.0), Experimented("2 replicas", 60, 11.0)]
    told = str(Report("tiny", 1, 64, served, experiments, STEP, 2000.0, simulated))
    assert "| 2 replicas | 60 | 11.0 s | 0.55 |" in told
    assert "| 2 replicas | 30 | 10.5 s | 549 | 1.1 s, 2.1 s | 1.5 ms, 3.0 ms |" in told
    assert "| embedded | 30 | 10.0 s | 576 | 1.0 s, 2.0 s | — |" in told
    speed = 100 * 90 / 0.14
    assert f"| 100 | {speed:,.0f} | {speed * 2000 / 1e6:.1f} MB/s | 714/s |" in told
    assert told.index("Measured") < told.index("Reckoned") < told.index("Simulated")
