"""A client that sends its request without end is refused, and its connection closed."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from playground.api import application
from playground.guard import Gate, drop_slow_heads, slow_senders, uvicorn_compat
from playground.service import Service
from playground.settings import Settings

PART = b"x" * 100


class Door:
    bytes_allowed = 10_000

    def path(self, method, path):
        return None

    def visit(self, path, client):
        return None

    def body(self, path, body):
        return None


async def echo(request):
    return JSONResponse({"read": len(await request.body())})


async def stream(request):
    async def pieces():
        yield b"data: 1\n\n"
        await asyncio.sleep(30)

    return StreamingResponse(pieces(), media_type="text/event-stream")


@contextlib.contextmanager
def serving():
    """A real server with a page's route and the API, that has little patience."""
    service = Service(Settings())

    @contextlib.asynccontextmanager
    async def lifespan(app):
        dropping = asyncio.create_task(drop_slow_heads(lambda: server))
        yield
        dropping.cancel()

    api = application(service)
    app = Starlette(
        routes=[
            Route("/page", echo, methods=["POST"]),
            Route("/stream", stream),
            Route("/api/compare", api, methods=["POST"]),
        ],
        lifespan=lifespan,
    )
    gate = Gate(app, Settings(), Door(), {"/api"})
    config = uvicorn.Config(gate, port=0, log_level="error", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def port(monkeypatch):
    monkeypatch.setattr(slow_senders, "HEAD_S", 0.4)
    monkeypatch.setattr(slow_senders, "BODY_S", 0.4)
    monkeypatch.setattr(slow_senders, "_LOOK_S", 0.1)
    with serving() as port:
        yield port


def drip(port, head, *, parts=400, pause=0.05):
    """Send ``head``, then a byte now and then until the server closes; what it answered."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(head)
        client.settimeout(pause)
        for _ in range(parts):
            try:
                piece = client.recv(1 << 16)
                if not piece:
                    return answer
                answer += piece
                client.sendall(b"x")
            except TimeoutError:
                with contextlib.suppress(ConnectionError):
                    client.sendall(b"x")
            except ConnectionError:
                return answer
    raise AssertionError(f"the connection is still open, after {answer!r}")


def post(path, length=5000):
    return f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n".encode()


@pytest.mark.parametrize("path", ["/page", "/api/compare"])
def test_a_body_that_drips_is_answered_408_and_its_connection_closed(port, path):
    answer = drip(port, post(path) + b"{")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408") and b"connection: close" in head.lower()
    (fault,) = json.loads(body)["detail"]
    assert fault["loc"] == ["body"] and "too slowly" in fault["msg"]


@pytest.mark.parametrize(
    "head",
    [b"", b"POST /page HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "],
    ids=["the first line", "a header"],
)
def test_a_head_that_drips_is_dropped(port, head):
    assert drip(port, head) == b""


def test_a_second_head_that_drips_is_dropped_too(port):
    whole = post("/page", 2) + b"{}"
    answer = drip(port, whole + b"POST /page HTTP/1.1\r\nX-Slow: ")
    assert b'{"read":2}' in answer


def test_a_body_that_drips_beside_a_stream_ends_it_without_an_error(port, caplog):
    head = b"GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n\r\n"
    assert b"data: 1" in drip(port, head)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_long_body_on_a_slow_line_is_read(port, monkeypatch):
    monkeypatch.setattr(slow_senders, "BYTES_PER_S", 100)
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(post("/page", 2000))
        for _ in range(20):  # for 1 s, where 0.4 s are allowed and 20 more for what has come
            client.sendall(PART)
            time.sleep(0.05)
        assert b" 200 OK" in client.recv(1 << 16)


def test_a_connection_that_asks_again_and_again_is_kept(port):
    client = http.client.HTTPConnection("127.0.0.1", port)
    client.connect()
    opened = client.sock
    for _ in range(12):
        client.request("POST", "/page", b"{}")
        assert client.getresponse().read() == b'{"read":2}'
        time.sleep(0.1)
    assert client.sock is opened
    client.close()


def test_what_follows_the_body_is_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(slow_senders, "BODY_S", 0.05)
    messages = [
        {"type": "http.request", "body": b"{}", "more_body": False},
        {"type": "http.disconnect"},
    ]

    async def receive():
        if len(messages) == 1:
            await asyncio.sleep(0.2)
        return messages.pop(0)

    async def both():
        bounded = slow_senders.BoundedReceive(receive)
        return [(await bounded())["type"], (await bounded())["type"]]

    assert asyncio.run(both()) == ["http.request", "http.disconnect"]


def test_uvicorn_still_tells_its_connections(port):
    """Else heads that drip are not dropped any more."""
    found = []

    async def app(scope, receive, send):
        protocol = next(iter(server.server_state.connections))
        found.append((list(uvicorn_compat.idle_connections(server)), protocol.transport))
        await JSONResponse({})(scope, receive, send)

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    with socket.create_connection(server.servers[0].sockets[0].getsockname()[:2]) as client:
        while not server.server_state.connections:
            time.sleep(0.01)
        (idle,) = uvicorn_compat.idle_connections(server)
        client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        client.recv(1 << 16)
    server.should_exit = True
    thread.join()
    assert idle.last is None and isinstance(idle.connection.transport, asyncio.Transport)
    assert found[0][0] == []  # a request is under way
