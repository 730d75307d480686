"""Many short runs, then many clients that stop reading: whether memory and waiting stay bounded.

The server runs in a process of its own, behind the gate that every request to the program passes.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from dataclasses import dataclass

import httpx

from playground.bench import load

AT_ONCE = 4  # clients that make the short runs
ROUND = 100  # runs between two measurements of the memory
SLACK = 0.03  # of the memory: growth of the C library's heap that is no leak
DEADLINE_S = 60.0  # of every run, also of those that nobody reads
WAIT_S = 30.0  # for 16 tokens beside the unread streams; behind them they would take far longer
_READ_BUFFER = 4096  # bytes that the system keeps for a client that reads nothing


@dataclass(frozen=True)
class Report:
    """Bytes resident after each round, and seconds of another client's short run."""

    runs: int
    resident: list[int]
    stalled_clients: int
    alone_s: float
    beside_stalled_s: float  # while ``stalled_clients`` read nothing of their streams
    freed_s: float  # until the last of their runs had ended
    left_behind: int  # runs of theirs that were still held at the end

    @property
    def level(self) -> bool:
        """Whether memory grew by no more than ``SLACK`` over the last third of the runs."""
        at = 2 * len(self.resident) // 3
        return self.resident[-1] <= (1 + SLACK) * self.resident[max(0, at - 1)]

    @property
    def passed(self) -> bool:
        return self.level and not self.left_behind and self.beside_stalled_s <= WAIT_S

    def __str__(self) -> str:
        after = [f"  after {ROUND * (n + 1):6} runs {r / 1e6:8.0f} MB" for n, r in
                 enumerate(self.resident)]  # fmt: skip
        ending = "levels off" if self.level else "GOES ON GROWING"
        return "\n".join(
            (
                f"{self.runs} runs of {len(load.RECIPES)} short texts; the memory {ending}",
                *after,
                f"  16 tokens of another client: {self.alone_s:.1f} s alone, "
                f"{self.beside_stalled_s:.1f} s beside {self.stalled_clients} that read nothing; "
                f"their runs had ended after {self.freed_s:.0f} s, {self.left_behind} are left",
            )
        )


def measure(model: str | None, runs: int, stalled: int) -> Report:
    """Serve ``model``; make ``runs`` short runs, then open ``stalled`` streams and read none."""
    with load.serving(model, prompt_bytes=32 << 20, deadline_s=DEADLINE_S) as port:
        resident = []
        for begun in range(0, runs, ROUND):
            asyncio.run(_round(port, begun, min(ROUND, runs - begun)))
            resident.append(int(_metric(port, "process_resident_memory_bytes")))
        alone, beside, freed = asyncio.run(_beside_stalled(port, stalled))
        left = _held(port)
    return Report(runs, resident, stalled, alone, beside, freed, left)


async def _round(port: int, begun: int, count: int) -> None:
    numbers = iter(range(begun, begun + count))

    async def client() -> None:
        for number in numbers:
            await load.visit(port, number, 8)

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))


async def _beside_stalled(port: int, count: int) -> tuple[float, float, float]:
    """Seconds of a short run alone, of one beside ``count`` unread streams, and until they end."""
    alone = await load.visit(port, 1, 16)
    body = json.dumps({"prompt": "Once", "recipes": load.RECIPES, "max_new_tokens": 400,
                       "min_new_tokens": 400, "stream": True}).encode()  # fmt: skip
    head = f"POST /api/compare HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
    head += "Content-Type: application/json\r\n\r\n"
    clients = [_unread(port, head.encode() + body) for _ in range(count)]
    try:
        await asyncio.sleep(1)
        begun = time.perf_counter()
        await load.visit(port, 2, 16)
        beside = time.perf_counter() - begun
        while _held(port) and time.perf_counter() - begun < 3 * DEADLINE_S:
            await asyncio.sleep(0.5)
        return alone.seconds, beside, time.perf_counter() - begun
    finally:
        for client in clients:
            client.close()


def _unread(port: int, request: bytes) -> socket.socket:
    """A connection that has sent a request and never reads the response."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _READ_BUFFER)
    client.connect(("127.0.0.1", port))
    client.sendall(request)
    return client


def _held(port: int) -> int:
    """Runs at work or in the queue."""
    names = ("playground_runs_at_work", "playground_queue_length")
    return int(sum(_metric(port, name) for name in names))


def _metric(port: int, name: str) -> float:
    """The sum of the metric's values over all labels."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text
    lines = (line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{")))
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)
