"""Requests of the API's tests, and parsers of its answers; over a real socket where needed."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager

import uvicorn

ASK = {"prompt": "Hello", "recipes": ["greedy"], "max_new_tokens": 3}


def ask(client, **changes):
    return client.post("/api/compare", json={**ASK, **changes})


def events(text):
    """The events of a whole stream: their names and data."""
    pieces = [piece for piece in text.split("\n\n") if piece and not piece.startswith(":")]
    for piece in pieces:
        name, data = piece.split("\n")
        yield name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def faults(response, status=422):
    """The faults of a failed request by field; the response must have the shape of all errors."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["detail"] and body["detail"]
    for fault in body["detail"]:
        assert list(fault) == ["loc", "msg"] and fault["msg"]
        assert "Traceback" not in fault["msg"] and 'File "' not in fault["msg"]
    return {tuple(fault["loc"]): fault["msg"] for fault in body["detail"]}


@contextmanager
def serving(app):
    """The address of a real server."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def freed(engine, within=5.0):
    """Whether no run holds a row any more."""
    until = time.monotonic() + within
    while engine.people and time.monotonic() < until:
        time.sleep(0.01)
    return engine.people == 0 and engine.rows_in_use == 0
