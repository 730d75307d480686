"""Many clients over many replicas, by discrete-event simulation with the measured times of a step.

A client requests a run, reads it, pauses, and requests another. A run takes some rows of the
replica with most free rows, or waits in its queue. All rows of a replica advance by one token a
step; a step takes ``base + per_row · rows`` seconds, which are fitted to the engine's.
"""

from __future__ import annotations

import heapq
import random
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Step:
    """Seconds of a step of so many rows, and of reading a prompt."""

    base: float
    per_row: float
    prefill: float

    def seconds(self, rows: int) -> float:
        return self.base + self.per_row * rows


@dataclass(frozen=True)
class Crowd:
    """The load: each client requests ``lanes`` texts, and again after a pause.

    ``pause`` is its mean, in seconds; it is distributed exponentially.
    """

    clients: int
    lanes: int = 3
    tokens: int = 64
    pause: float = 60.0


@dataclass(frozen=True)
class Outcome:
    """Seconds over all runs that ended, and how evenly clients were served (Jain's index)."""

    replicas: int
    clients: int
    pause: float
    runs: int
    tokens_per_second: float
    busy: float  # of the rows, on average
    wait_p50: float
    wait_p95: float
    wait_p99: float
    first_p95: float
    whole_p50: float
    whole_p95: float
    fairness: float

    def __str__(self) -> str:
        return (
            f"{self.clients:,} clients over {self.replicas} replicas, {self.pause:g} s between "
            f"two runs of each: {self.runs:,} runs, "
            f"{self.tokens_per_second:,.0f} tokens/s, {self.busy:.0%} of rows in use; "
            f"queued {self.wait_p50:.2f} s, p95 {self.wait_p95:.2f} s, p99 {self.wait_p99:.2f} s; "
            f"first token p95 {self.first_p95:.1f} s; whole run {self.whole_p50:.1f} s, "
            f"p95 {self.whole_p95:.1f} s; fairness {self.fairness:.3f}"
        )


@dataclass
class _Run:
    client: int
    requested: float
    left: int
    began: float = 0.0
    first: float = 0.0


@dataclass
class _Replica:
    running: list[_Run] = field(default_factory=list)
    queue: deque[_Run] = field(default_factory=deque)
    steps: bool = False


def simulate(
    replicas: int, crowd: Crowd, step: Step, *, rows: int = 128, seconds: float = 600.0,
    seed: int = 0,
) -> Outcome:  # fmt: skip
    """Serve the crowd for so many simulated seconds, of which the first tenth is not counted."""
    noise = random.Random(seed)
    each = [_Replica() for _ in range(replicas)]
    free = [rows] * replicas
    events: list[tuple[float, int, int, int]] = []  # time, order, kind (0 request, 1 step), whose
    order = 0

    def at(time: float, kind: int, whose: int) -> None:
        nonlocal order
        order += 1
        heapq.heappush(events, (time, order, kind, whose))

    for client in range(crowd.clients):
        at(noise.random() * crowd.pause, 0, client)
    served = [0] * crowd.clients
    requested = [0] * crowd.clients
    ended: list[tuple[float, float, float]] = []  # in the queue, to the first token, to the end
    used = 0.0
    start = seconds / 10
    tokens = 0
    while events and events[0][0] < seconds:
        now, _, kind, whose = heapq.heappop(events)
        if kind == 0:
            best = max(range(replicas), key=lambda one: (free[one], -len(each[one].queue)))
            free[best] -= crowd.lanes
            replica = each[best]
            replica.queue.append(_Run(whose, now, crowd.tokens))
            if now >= start:
                requested[whose] += 1
            if not replica.steps:
                replica.steps = True
                at(now, 1, best)
            continue
        replica = each[whose]
        going = []
        for run in replica.running:
            run.left -= 1
            run.first = run.first or now
            if now >= start:
                tokens += crowd.lanes
            if run.left:
                going.append(run)
                continue
            free[whose] += crowd.lanes
            at(now + noise.expovariate(1 / crowd.pause), 0, run.client)
            if run.requested >= start:
                served[run.client] += 1
                waited, first = run.began - run.requested, run.first - run.requested
                ended.append((waited, first, now - run.requested))
        replica.running = going
        took = 0.0
        # A prompt is read between two steps, and others after a step of all rows.
        while replica.queue and (len(replica.running) + 1) * crowd.lanes <= rows:
            if took and took + step.prefill > step.seconds(len(replica.running) * crowd.lanes):
                break
            run = replica.queue.popleft()
            run.began = now + took
            took += step.prefill
            replica.running.append(run)
        if replica.running:
            width = len(replica.running) * crowd.lanes
            took += step.seconds(width)
            used += took * width if now >= start else 0.0
            at(now + took, 1, whose)
        else:
            replica.steps = False
    span = seconds - start
    waits, firsts, wholes = (sorted(column) for column in zip(*ended, strict=True))
    shares = [s / r for s, r in zip(served, requested, strict=True) if r]
    return Outcome(
        replicas=replicas,
        clients=crowd.clients,
        pause=crowd.pause,
        runs=len(ended),
        tokens_per_second=tokens / span,
        busy=used / (span * rows * replicas),
        wait_p50=_share(waits, 0.5),
        wait_p95=_share(waits, 0.95),
        wait_p99=_share(waits, 0.99),
        first_p95=_share(firsts, 0.95),
        whole_p50=_share(wholes, 0.5),
        whole_p95=_share(wholes, 0.95),
        fairness=sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares)),
    )


def _share(values: Sequence[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))]


def fitted(rows: Sequence[int], seconds: Sequence[float], prefill: float) -> Step:
    """The step whose times are nearest to those measured, by least squares."""
    line = statistics.linear_regression(rows, seconds)
    return Step(max(line.intercept, 1e-6), max(line.slope, 1e-9), prefill)
