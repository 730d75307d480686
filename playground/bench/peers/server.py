"""A server of another program: started, asked over HTTP, and ended."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import httpx

from playground.bench.peers.task import Absent, Failed
from playground.bench.program import free_port

_START_S = 240.0
_ANSWER_S = 300.0


class Server:
    """What is asked of one that answers at ``port``, several questions at a time where wished."""

    def __init__(self, port: int) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=_ANSWER_S)

    def ask(self, path: str, bodies: Sequence[Mapping[str, Any]], at_once: int) -> list[Any]:
        """The answers to ``bodies``; ``Failed`` where one is refused."""
        with ThreadPoolExecutor(max(1, min(at_once, len(bodies)))) as threads:
            return list(threads.map(lambda body: self._asked(path, body), bodies))

    def _asked(self, path: str, body: Mapping[str, Any]) -> Any:
        answer = self.client.post(path, json=body)
        if answer.is_error:
            raise Failed(f"it answered {answer.status_code}: {answer.text[:200]}")
        return answer.json()


@contextmanager
def served(
    command: Sequence[str], ready: str, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server started by ``command``, to which its port is added; ``ready`` is answered with 200.

    ``environment`` is added to this process's. Raises ``Absent`` with its last words where it does
    not start.
    """
    port = free_port()
    added = [f"{name}={value}" for name, value in (environment or {}).items()]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            ["env", *added, *command, str(port)], stdout=log, stderr=subprocess.STDOUT
        )
        server = Server(port)
        try:
            end = time.monotonic() + _START_S
            while not _answers(server, ready):
                if process.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    lines = log.read().decode(errors="replace").split("\n")
                    said = [line.strip() for line in lines if line.strip()]
                    raise Absent(f"its server does not start: {said[-1] if said else 'no word'}")
                time.sleep(0.3)
            yield server
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()
            server.client.close()


def _answers(server: Server, path: str) -> bool:
    with suppress(httpx.TransportError):
        return not server.client.get(path).is_error
    return False
