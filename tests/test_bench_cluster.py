"""The simulation of many clients gives what can be computed by hand."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import pytest

from playground.bench.cluster_report import Experimented, Report, Served
from playground.bench.estimate import Costs
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


def test_the_report_tells_apart_what_was_measured_and_what_is_estimated():
    served = [
        Served(0, 30, 10.0, 576.0, 1.0),
        Served(1, 30, 10.5, 548.6, 1.1, 15.0, 20.0, 0.2),
        Served(2, 30, 6.0, 960.0, 0.6, 15.0, 20.0, 0.2),
    ]
    simulated = [simulate(2, Crowd(10), STEP, seconds=300.0)]
    experiments = [Experimented(0, 60, 20.0), Experimented(1, 60, 22.0), Experimented(2, 60, 11.0)]
    costs = Costs(record_bytes=2000.0, token_ms=0.1, call_ms=2.0)

    def report(served, cores=4):
        return Report(
            "tiny",
            "a processor",
            cores,
            "today",
            1,
            64,
            3,
            served,
            experiments,
            STEP,
            costs,
            simulated,
        )

    told = str(report(served))
    assert "| 2 replicas | 11.0 s | 0.55 |" in told
    assert "| 1 replica | 30 | 549 | 1.10 s | 15.0 ms, 20.0 ms | 0.20 ms |" in told
    assert "| in the process | 30 | 576 | 1.00 s |  |  |" in told
    assert "Both goals are kept: 0.20 ms, and 5% lost by 1 replica." in told
    speed, step = 100 * 90 / 0.14, 0.14  # of 90 rows
    calls, pages = 100 / step + speed / 192, 100 * 30 / step
    fronts = ceil(speed * 0.1 / 1e3 + pages / 500)
    assert (
        f"| 100 | 3,000 | {speed:,.0f} | {speed * 2000 / 1e6:.1f} MB/s | {calls:,.0f}/s "
        f"| {pages:,.0f}/s | {fronts} |"
    ) in told
    assert told.index("Measured") < told.index("Estimated") < told.index("Simulated")
    assert "10 clients over 2 replicas, 60 s between two runs of each: " in told
    slow = [served[0], replace(served[1], tokens_per_second=400.0)]
    assert "That is missed: 0.20 ms, and 31% lost" in str(report(slow))
    assert "cannot be faster here" not in told
    assert "2 replicas have 2 threads, " in str(report(served, cores=2))
