"""A server of another program: started, sent requests over HTTP, and ended."""

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
_RESPONSE_S = 300.0


class Server:
    """Requests to a server at ``port``, several at a time where wished."""

    def __init__(self, port: int) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=_RESPONSE_S)

    def post(self, path: str, bodies: Sequence[Mapping[str, Any]], at_once: int) -> list[Any]:
        """The responses to ``bodies``. Raises ``Failed`` where one is refused."""
        with ThreadPoolExecutor(max(1, min(at_once, len(bodies)))) as threads:
            return list(threads.map(lambda body: self._posted(path, body), bodies))

    def _posted(self, path: str, body: Mapping[str, Any]) -> Any:
        response = self.client.post(path, json=body)
        if response.is_error:
            raise Failed(f"it answered {response.status_code}: {response.text[:200]}")
        return response.json()


@contextmanager
def served(
    command: Sequence[str], ready: str, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server started by ``command``, to which its port is appended.

    It is ready once a request for the path ``ready`` succeeds. ``environment`` is added to this
    process's. Raises ``Absent``, with the last line of its output, where it does not start.
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
            while not _responds(server, ready):
                if process.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    lines = log.read().decode(errors="replace").split("\n")
                    printed = [line.strip() for line in lines if line.strip()]
                    last = printed[-1] if printed else "it printed nothing"
                    raise Absent(f"its server does not start: {last}")
                time.sleep(0.3)
            yield server
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()
            server.client.close()


def _responds(server: Server, path: str) -> bool:
    with suppress(httpx.TransportError):
        return not server.client.get(path).is_error
    return False
