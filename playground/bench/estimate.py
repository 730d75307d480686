"""What many machines with one engine each would do and need, estimated from one of them."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from playground.bench.simulation import Step

MACHINES = (10, 100)
LANES = 3  # texts of a client
FRAMES = 10.0  # of a page a second, at most
PAGE_MESSAGES = 500.0  # that one process sends a second, as measured with Gradio's queue


@dataclass(frozen=True)
class Costs:
    """What a front end does for one token, and for one call to a replica.

    ``record_bytes`` of a message are one token's; times are the processor's, in milliseconds.
    """

    record_bytes: float
    token_ms: float  # whatever is done for it, calls included
    call_ms: float  # through Serve's router, there and back


def estimated(step: Step, costs: Costs, clients: int, tokens: int) -> str:
    """The table, with its arithmetic above it; so many ``clients`` are at each machine."""
    rows = clients * LANES
    took = step.seconds(rows)
    lines = [
        f"Estimated for machines with one such engine each, {clients} clients at each, from what "
        f"was measured of one: a step of {rows} rows takes {took * 1e3:.0f} ms "
        f"({step.base * 1e3:.0f} ms and {step.per_row * 1e3:.2f} ms a row), a token's record is "
        f"{costs.record_bytes / 1e3:.1f} kB in a message and {costs.token_ms:.2f} ms of a front "
        f"end's processor time, with its share of a call through Serve's router, which takes "
        f"{costs.call_ms:.1f} ms. Tokens/s are machines × {rows} / step; records are tokens/s × "
        f"bytes; calls are one poll a step and machine, and one for each run of {tokens} tokens; "
        f"a page takes a message a step, at most {FRAMES:.0f} a second; front ends are tokens/s × "
        f"time, and messages at {PAGE_MESSAGES:.0f} a second of one process.",
        "",
        "| machines | clients | tokens/s | records | calls through the router "
        "| messages to pages | front ends |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for machines in MACHINES:
        rate = machines * rows / took
        calls = machines / took + rate / (LANES * tokens)
        pages = machines * clients * min(FRAMES, 1 / took)
        fronts = ceil(rate * costs.token_ms / 1e3 + pages / PAGE_MESSAGES)
        lines.append(
            f"| {machines} | {machines * clients:,} | {rate:,.0f} "
            f"| {rate * costs.record_bytes / 1e6:.1f} MB/s | {calls:,.0f}/s | {pages:,.0f}/s "
            f"| {fronts} |"
        )
    return "\n".join(lines)
