"""Waiting for what other processes do."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

WAIT_S = 120.0


def until(true: Callable[[], bool], within: float = WAIT_S) -> None:
    end = time.monotonic() + within
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    assert true()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
