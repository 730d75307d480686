"""A client that stops reading is disconnected, and what was queued for it is dropped."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from playground.guard import Gate, slow_readers, uvicorn_compat
from playground.settings import Settings
from tests.api.asking import serving

SIZE = 40 << 20  # more than the kernel keeps for anybody


@pytest.fixture
def ended(monkeypatch):
    """Seconds after which the answers ended, for a server that waits little."""
    monkeypatch.setattr(slow_readers, "STALL_S", 0.3)
    return []


def served(ended):
    async def stream(request):
        async def pieces():
            try:
                for _ in range(SIZE >> 16):
                    yield b"x" * (64 << 10)
            finally:
                ended.append("stream")

        return StreamingResponse(pieces(), media_type="text/event-stream")

    async def whole(request):
        return Response(b"x" * SIZE, media_type="application/json")

    async def now(scope, receive, send):
        await Gate(app, Settings())(scope, receive, send)
        if scope["type"] == "http":
            ended.append(scope["path"])

    app = Starlette(routes=[Route("/stream", stream), Route("/whole", whole)])
    return serving(now)


def connected(address, path):
    host, port = address.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return client


@pytest.mark.parametrize("path", ["/stream", "/whole"])
def test_a_client_that_never_reads_is_dropped(ended, path, capfd):
    with served(ended) as address, connected(address, path) as client:
        until = time.monotonic() + 20
        while path not in ended and time.monotonic() < until:
            time.sleep(0.02)
        assert path in ended
        if path == "/stream":
            assert "stream" in ended  # whoever made it knows
        found = 0
        while piece := client.recv(1 << 20):
            found += len(piece)
        assert found < SIZE / 4
    assert "ASGI" not in capfd.readouterr().err  # to uvicorn it is one that left


@pytest.mark.parametrize("path", ["/stream", "/whole"])
def test_a_client_that_reads_slowly_gets_everything(ended, path):
    with served(ended) as address, connected(address, path) as client:
        client.settimeout(20)
        found = 0
        while found < SIZE:
            found += len(client.recv(1 << 20))
            if found < 1 << 20:
                time.sleep(0.01)
    assert ended[-1] == path


def test_uvicorn_still_tells_what_it_writes_to():
    found = []

    async def app(scope, receive, send):
        found.append(uvicorn_compat.transport(send))
        await Response("")(scope, receive, send)

    with serving(app) as address, connected(address, "/") as client:
        client.recv(100)
    assert isinstance(found[0], asyncio.Transport), (
        "uvicorn's send is no longer a method of an object whose `transport` is the connection: "
        "clients that stop reading are not dropped any more"
    )
