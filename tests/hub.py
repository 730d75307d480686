"""A stand-in for the model hub on loopback, which serves folders to the hub's client."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """The served folders, the address, and the requests so far: ``"GET path"`` in order."""

    repos: dict[str, Path]
    gated: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    url: str = ""
    # While it is not set, every file of weights stops in its middle.
    flowing: threading.Event = field(default_factory=threading.Event)

    def fetched(self, name: str) -> int:
        return sum(line.startswith("GET ") and line.endswith("/" + name) for line in self.asked)


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Serve until the block ends; ``hub.url`` is the address."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            path = self.path.split("?")[0]
            hub.asked.append(f"{self.command} {path}")
            status, headers, content = respond(hub, path)
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if not body:
                return
            half = len(content) // 2 if path.endswith((".safetensors", ".gguf")) else 0
            self.wfile.write(content[:half])
            self.wfile.flush()
            hub.flowing.wait(60 if half else 0)
            with suppress(ConnectionError):  # of a client that has left
                self.wfile.write(content[half:])

    hub.flowing.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        hub.flowing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def respond(hub: Hub, path: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body for one path of the hub."""
    id = next((id for id in hub.repos if f"/{id}/" in path + "/"), None)
    if id is None:
        return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
    if id in hub.gated:
        return 403, {"X-Error-Code": "GatedRepo"}, b"{}"
    files = sorted(file for file in hub.repos[id].rglob("*") if file.is_file())
    names = [file.relative_to(hub.repos[id]).as_posix() for file in files]
    if path.startswith(f"/{id}/resolve/"):
        name = path.split("/resolve/")[1].split("/", 1)[1]
        if name not in names:
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        content = (hub.repos[id] / name).read_bytes()
        etag = hashlib.sha256(content).hexdigest()
        return 200, {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'}, content
    if "/tree/" in path:
        tree = [
            {"type": "file", "path": name, "size": file.stat().st_size, "oid": "0" * 40}
            for name, file in zip(names, files, strict=True)
        ]
        return 200, {"Content-Type": "application/json"}, json.dumps(tree).encode()
    siblings = [
        {"rfilename": name, "size": file.stat().st_size}
        for name, file in zip(names, files, strict=True)
    ]
    info = {"id": id, "modelId": id, "sha": COMMIT, "siblings": siblings}
    return 200, {"Content-Type": "application/json"}, json.dumps(info).encode()
