"""A stand-in for the service that lends a Space its GPUs, as the real package reads it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Lender(ThreadingHTTPServer):
    """``asked`` are the paths and queries that came; ``answer`` says what a request for a GPU gets.

    ``lends`` a GPU at once; ``quota`` refuses for the visitor's quota, ``none`` because there is
    no GPU; ``waits`` lets it wait for ever.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.answer = "lends"
        self.idle = False  # whether the process that was lent a GPU last may have it again

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Lender

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        self.server.asked.append((parts.path, query))
        if parts.path == "/answer":  # of the tests alone
            self.server.answer = query["with"][0]
            self._send(200, {})
        elif parts.path == "/schedule":
            getattr(self, f"_{self.server.answer}")()
        else:
            self.server.idle = parts.path == "/release" and query["fail"] == ["false"]
            self._send(200, {})

    def _lends(self) -> None:
        lent = {
            "idle": self.server.idle,
            "nvidiaIndex": 0,
            "nvidiaUUID": "GPU-0",
            "allowToken": "token",
        }
        self._send(200, lent)

    def _quota(self) -> None:
        self._send(429, {"left": 3, "wait": "PT3600S"}, **{"X-Approve-Result": "quota-exceeded"})

    def _none(self) -> None:
        self._send(503, {})

    def _waits(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        while True:
            try:
                self.wfile.write(b"event: ping\n\n")
                self.wfile.flush()
            except OSError:
                return
            time.sleep(0.2)

    def _send(self, status: int, body: object, **headers: str) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *given: object) -> None:
        pass


@contextmanager
def lender() -> Iterator[Lender]:
    with Lender() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
