"""The program itself, started as a host starts it, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

_LONGEST_S = 300.0


@dataclass(frozen=True)
class Program:
    """The program's address, and the seconds from its start until it served its page."""

    address: str
    page_s: float


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def started(**settings: object) -> Iterator[Program]:
    """The program, once it serves its model.

    ``settings`` are its environment variables, in lower case and without ``PLAYGROUND_``.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    given = [f"PLAYGROUND_{name.upper()}={value}" for name, value in settings.items()]
    begun = time.perf_counter()
    server = subprocess.Popen(
        ["env", *given, f"PLAYGROUND_PORT={port}", sys.executable, "-m", "playground.cli", "run"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def seconds_until(path: str, ready: str) -> float:
        while time.perf_counter() - begun < _LONGEST_S:
            with contextlib.suppress(httpx.TransportError, json.JSONDecodeError, KeyError):
                response = httpx.get(f"{address}{path}", timeout=60)
                if response.is_success and (not ready or response.json()["status"] == ready):
                    return time.perf_counter() - begun
            if server.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError("the program did not start")

    try:
        page_s = seconds_until("/", "")
        seconds_until("/healthz", "ok")
        yield Program(address, page_s)
    finally:
        server.terminate()
        server.wait(30)
