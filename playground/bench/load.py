"""Many clients at once over HTTP: throughput and latency, together and one after the other.

The server runs in a process of its own, so that the clients take none of its threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from playground.bench.program import free_port

PROMPTS = (
    "In a groundbreaking scientific discovery, researchers have found evidence of",
    "The recipe for a good soup begins with",
    "Dear students, tomorrow's lesson is about",
    "Once upon a time, in a village by the sea,",
    "The most important thing about an argument is",
)
RECIPES = ["greedy", "temperature(0.8) | top_p(0.95) | sample", "top_k(50) | sample"]
SERIAL = 12  # clients measured one after the other; the time of more follows from their mean


@dataclass
class Visit:
    """One client's measurements: seconds from its request to each of its tokens, and its texts."""

    tokens: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def between(self) -> list[float]:
        """Seconds between two arrivals; tokens of one network read have arrived at once."""
        return [b - a for a, b in zip(self.tokens, self.tokens[1:], strict=False) if b > a]


@dataclass(frozen=True)
class Report:
    """Times are in seconds; percentiles are over the clients, or over all gaps between tokens."""

    clients: int
    lanes: int
    tokens_each: int
    seconds: float
    tokens_per_second: float
    first_p50: float
    first_p95: float
    first_most: float
    between_p50: float
    between_p95: float
    slowest: float
    serial_s: float  # the same work, one client after the other
    serial_measured: int  # clients that this was measured with
    serial_first_p95: float
    throughput_ratio: float
    same_texts: int  # of the clients measured alone, those whose texts were the same together

    def __str__(self) -> str:
        return "\n".join(
            (
                f"{self.clients} clients, {self.lanes} lanes of {self.tokens_each} tokens each",
                f"  together        {self.seconds:8.1f} s, {self.tokens_per_second:.0f} tokens/s",
                f"  one by one      {self.serial_s:8.1f} s, from "
                f"{self.serial_measured} of them measured",
                f"  throughput      {self.throughput_ratio:8.1f} times one by one",
                f"  first token     {self.first_p50:8.2f} s p50, {self.first_p95:.2f} s p95, "
                f"{self.first_most:.2f} s at most; "
                f"one by one {self.serial_first_p95:.1f} s p95",
                f"  between tokens  {self.between_p50 * 1e3:8.0f} ms p50, "
                f"{self.between_p95 * 1e3:.0f} ms p95",
                f"  slowest client  {self.slowest:8.1f} s",
                f"  same texts as alone: {self.same_texts} of {self.serial_measured}",
            )
        )


def measure(model: str | None, tokens: int, counts: Sequence[int]) -> list[Report]:
    """Serve ``model``; measure clients one after the other, then each of ``counts`` at once."""
    with serving(model) as port:
        asyncio.run(visit(port, 0, 4))  # to warm up
        alone: list[Visit] = [
            asyncio.run(visit(port, number, tokens))
            for number in range(1, 1 + min(SERIAL, max(counts)))
        ]
        return [_report(port, tokens, count, alone) for count in counts]


def _report(port: int, tokens: int, count: int, alone: list[Visit]) -> Report:
    begun = time.perf_counter()
    visits = asyncio.run(_together(port, count, tokens))
    seconds = time.perf_counter() - begun
    mean = statistics.mean(visit.seconds for visit in alone)
    serial = mean * count
    # One after the other, the last client waits for all before it.
    serial_first = mean * 0.95 * (count - 1) + statistics.mean(v.tokens[0] for v in alone)
    firsts = [visit.tokens[0] for visit in visits]
    gaps = [gap for visit in visits for gap in visit.between]
    known = min(count, len(alone))
    return Report(
        clients=count,
        lanes=len(RECIPES),
        tokens_each=tokens,
        seconds=seconds,
        tokens_per_second=sum(len(visit.tokens) for visit in visits) / seconds,
        first_p50=_percentile(firsts, 0.5),
        first_p95=_percentile(firsts, 0.95),
        first_most=max(firsts),
        between_p50=_percentile(gaps, 0.5),
        between_p95=_percentile(gaps, 0.95),
        slowest=max(visit.seconds for visit in visits),
        serial_s=serial,
        serial_measured=known,
        serial_first_p95=serial_first,
        throughput_ratio=serial / seconds,
        same_texts=sum(visits[i].texts == alone[i].texts for i in range(known)),
    )


async def _together(port: int, count: int, tokens: int) -> list[Visit]:
    return await asyncio.gather(*(visit(port, 1 + n, tokens) for n in range(count)))


async def visit(port: int, number: int, tokens: int) -> Visit:
    """One client's comparison, streamed; its prompt and seed are its own."""
    body = {
        "prompt": f"{PROMPTS[number % len(PROMPTS)]} ({number})",
        "recipes": RECIPES,
        "max_new_tokens": tokens,
        "min_new_tokens": tokens,
        "seed": number,
        "stream": True,
    }
    visit = Visit()
    begun = time.perf_counter()
    async with asyncio.timeout(900):
        async for clock, event in _events(port, json.dumps(body).encode()):
            if event.startswith(b"event: token"):
                visit.tokens.append(clock - begun)
            elif event.startswith(b"event: lane"):
                visit.texts.append(json.loads(event.partition(b"data: ")[2])["text"])
            elif event.startswith(b"event: error"):
                raise RuntimeError(event.decode())
    visit.seconds = time.perf_counter() - begun
    return visit


async def _events(port: int, body: bytes) -> AsyncIterator[tuple[float, bytes]]:
    """The events of a comparison, each with the time at which its network read returned.

    Written by hand, since a client library takes five times as long, on the very cores that are
    measured. The request is HTTP/1.0, whose responses are not chunked and end with the connection.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.closing(writer):
        lines = "POST /api/compare HTTP/1.0", "Content-Type: application/json"
        head = "\r\n".join((*lines, f"Content-Length: {len(body)}", "", ""))
        writer.write(head.encode() + body)
        response = await reader.readuntil(b"\r\n\r\n")
        if response.split(None, 2)[1] != b"200":
            raise RuntimeError((await reader.read()).decode())
        rest = b""
        while data := await reader.read(1 << 16):
            *whole, rest = (rest + data).split(b"\n\n")
            clock = time.perf_counter()
            for event in whole:
                yield clock, event


def _percentile(values: Sequence[float], share: float) -> float:
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, round(share * (len(ranked) - 1)))] if ranked else 0.0


@contextlib.contextmanager
def serving(model: str | None, **settings: Any) -> Iterator[int]:
    """The port of the HTTP routes over ``model``, in a process of their own, once they respond."""
    port = free_port()
    spawn = multiprocessing.get_context("spawn")  # torch may hang in a forked process
    server = spawn.Process(target=_serve, args=(model, port, settings), daemon=True)
    server.start()
    try:
        for _ in range(600):
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{port}/healthz").json()["status"] == "ok":
                    break
            if not server.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.5)
        yield port
    finally:
        server.terminate()
        server.join()


def _serve(model: str | None, port: int, settings: dict[str, Any]) -> None:
    from playground.settings import Settings, quiet_libraries

    quiet_libraries()
    import uvicorn

    from playground.api import application
    from playground.cycles import look_less
    from playground.guard import Gate
    from playground.service import Service

    chosen: dict[str, Any] = {"deadline_s": 1800.0, "max_waiting": 1000, "max_client_runs": 1000}
    chosen["prompt_bytes"] = 0  # no prompt cache: the second visit prefills as the first does
    if model is not None:
        chosen |= {"model": model, "models": (model,)}
    service = Service(Settings(**chosen | settings))
    service.prepare()
    look_less()  # as app.py does
    service.engine().join_tracing()
    app = Gate(application(service), service.settings)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
