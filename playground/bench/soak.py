"""Short runs without end, and clients that stop reading: whether memory and waits level off.

The server runs in a process of its own, as for many clients at once, behind the same gate as the
page's.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass

import httpx

from playground.bench import load

AT_ONCE = 4
ROUND = 100  # runs between two looks at the memory
SLACK = 0.03  # of the memory: what a C library's heap gains by itself
STALLED = 200  # clients that read nothing


@dataclass(frozen=True)
class Report:
    """Bytes resident after each round, and seconds of another client's short run."""

    runs: int
    resident: list[int]
    stalled_clients: int
    alone_s: float
    beside_stalled_s: float  # while as many clients read nothing as are stalled
    left_behind: float  # runs that are still held for them afterwards

    @property
    def level(self) -> bool:
        """Whether the last third of the runs took no more memory than the slack."""
        at = 2 * len(self.resident) // 3
        return self.resident[-1] <= (1 + SLACK) * self.resident[max(0, at - 1)]

    def __str__(self) -> str:
        after = [f"  after {ROUND * (n + 1):6} runs {r / 1e6:8.0f} MB" for n, r in
                 enumerate(self.resident)]  # fmt: skip
        ending = "levels off" if self.level else "GOES ON GROWING"
        return "\n".join(
            (
                f"{self.runs} runs of {len(load.RECIPES)} short texts; the memory {ending}",
                *after,
                f"  16 tokens of another client: {self.alone_s:.1f} s alone, "
                f"{self.beside_stalled_s:.1f} s beside {self.stalled_clients} that read nothing, "
                f"of whose runs {self.left_behind:.0f} are left",
            )
        )


def measure(model: str | None, runs: int, stalled: int = STALLED) -> Report:
    """Serve ``model`` and see what ``runs`` runs, and clients that stop reading, leave behind."""
    with load.serving(model, prompt_bytes=32 << 20) as port:
        resident = []
        for begun in range(0, runs, ROUND):
            asyncio.run(_round(port, begun, min(ROUND, runs - begun)))
            resident.append(int(_metric(port, "process_resident_memory_bytes")))
        alone, beside = asyncio.run(_beside_stalled(port, stalled))
        left = _metric(port, "playground_runs_at_work") + _metric(port, "playground_queue_length")
    return Report(runs, resident, stalled, alone, beside, left)


async def _round(port: int, begun: int, count: int) -> None:
    numbers = iter(range(begun, begun + count))

    async def client() -> None:
        for number in numbers:
            await load.visit(port, number, 8)

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))


async def _beside_stalled(port: int, count: int) -> tuple[float, float]:
    """Seconds of a short run, alone and while ``count`` clients ask for long ones and read none."""
    alone = await load.visit(port, 1, 16)
    body = json.dumps({"prompt": "Once", "recipes": load.RECIPES, "max_new_tokens": 400,
                       "min_new_tokens": 400, "stream": True}).encode()  # fmt: skip
    head = f"POST /api/compare HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
    head += "Content-Type: application/json\r\n\r\n"
    writers = []
    for _ in range(count):
        # Without a limit asyncio reads on by itself; one byte is what it takes at the least.
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(head.encode() + body)
        writers.append((reader, writer))
    await asyncio.sleep(1)
    begun = time.perf_counter()
    await load.visit(port, 2, 16)
    beside = time.perf_counter() - begun
    until = time.monotonic() + 900
    while _metric(port, "playground_rows_in_use") and time.monotonic() < until:
        await asyncio.sleep(0.5)
    for _, writer in writers:
        writer.transport.abort()
    return alone.seconds, beside


def _metric(port: int, name: str) -> float:
    """The sum of what the server tells under this name."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text
    lines = (line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{")))
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)
