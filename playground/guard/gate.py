"""The application around the page's and the API's: checks each request, completes each answer.

It is outside everything else, so that what the libraries inside decide by themselves (which origins
may read an answer, what is printed of an exception) does not get past it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from playground.clients import client
from playground.guard.headers import SecurityHeaders
from playground.guard.hosts import HostCheck
from playground.guard.password import Password
from playground.guard.slow_readers import BoundedSend
from playground.guard.slow_senders import BoundedReceive, SlowBody
from playground.settings import Settings

log = logging.getLogger(__name__)

_OPENAI = "/v1"  # below it errors have OpenAI's form
_UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}
_LONGEST_QUERY = 32_768  # bytes; Gradio fails for an address of more than 65,536


@dataclass(frozen=True)
class Refusal:
    """Why a request is refused: a status, the field at fault and one sentence."""

    status: int
    field: str
    sentence: str
    retry_after_s: int | None = None
    asks: str | None = None  # how a client may say who it is

    def response(self, path: str) -> Response:
        """The answer at this path; OpenAI's clients read a form of their own."""
        headers = {"Retry-After": str(self.retry_after_s)} if self.retry_after_s else {}
        if self.asks:
            headers["WWW-Authenticate"] = self.asks
        if path == _OPENAI or path.startswith(f"{_OPENAI}/"):
            kind = "server_error" if self.status >= 500 else "invalid_request_error"
            told = {"message": self.sentence, "type": kind, "param": None, "code": self.field}
            return JSONResponse({"error": told}, self.status, headers)
        detail = [{"loc": [self.field], "msg": self.sentence}]
        return JSONResponse({"detail": detail}, self.status, headers)


LOCKED = Refusal(
    401,
    "password",
    "This server asks for a password.",
    asks='Basic realm="Decoding playground", charset="UTF-8"',
)


class Door(Protocol):
    """The checks of requests to the page's own routes, made before Gradio sees them."""

    bytes_allowed: int  # of one body

    def path(self, method: str, path: str) -> Refusal | None:
        """Why nothing is served at this path; None where something is."""

    def visit(self, path: str, client: str) -> Refusal | None:
        """Why this client may not read this path now; None where it may."""

    def body(self, path: str, body: bytes) -> Refusal | None:
        """Why the page cannot take this body at this path; None where it can."""


class Gate:
    """``app`` behind the checks. ``api`` are the API's paths, those below them included."""

    def __init__(
        self, app: ASGIApp, settings: Settings, door: Door | None = None, api: Collection[str] = ()
    ) -> None:
        self.app, self.door, self.settings = app, door, settings
        self.hosts, self.headers = HostCheck(settings), SecurityHeaders(settings)
        self.api = tuple(api)
        self.password = Password(settings)
        self.answering = 0  # answers under way that have an end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # no route has one, so none is asked
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(self, scope, send)
        endless = "/heartbeat/" in scope["path"]  # as long as a page is open
        self.answering += not endless
        try:
            await self._answer(answer, scope, BoundedReceive(receive))
            await answer.sender.finish()
        except asyncio.CancelledError:  # the server ends; uvicorn would log it as a failure
            answer.sender.drop()
        finally:
            self.answering -= not endless

    async def _answer(self, answer: _Answer, scope: Scope, receive: Receive) -> None:
        try:
            refusal = self._refuses(scope)
            if refusal is None and self.door is not None and not self._is_api(scope):
                receive, refusal = await self._bounded(self.door, scope, receive)
            if answer.shared and _is_preflight(scope):
                await Response(status_code=204)(scope, receive, answer.send)
            elif refusal is not None:
                await refusal.response(_path(scope))(scope, receive, answer.send)
            else:
                await self.app(answer.scope, receive, answer.send)
        except Exception as error:
            slow = _slow_body(error)
            if slow is not None and answer.started:
                await answer.sender.end()
            elif slow is not None:
                refusal = Refusal(slow.status_code, "body", slow.detail)
                await refusal.response(_path(scope))(scope, receive, answer.send)
            elif not answer.failed:  # else the application has logged and answered it
                name = secrets.token_hex(4)
                log.error("unforeseen error %s", name, exc_info=error)
                if answer.started:
                    await answer.sender.end()
                    return
                told = f"Something went wrong on the server; its log has it as {name}."
                await Refusal(500, "server", told).response(_path(scope))(
                    scope, receive, answer.send
                )

    def _refuses(self, scope: Scope) -> Refusal | None:
        headers, method = Headers(scope=scope), scope["method"]
        if not self.password.admits(scope, headers):
            return LOCKED
        if not self.hosts.is_own_host(method, headers):
            name = headers.get("host", "")[:100]
            return Refusal(
                421,
                "host",
                f"This server is not known as {name}. Whoever hosts it can name it in "
                "PLAYGROUND_ALLOWED_HOSTS.",
            )
        if (method in _UNSAFE or _is_preflight(scope)) and not self.hosts.is_own_origin(headers):
            if self._is_api(scope) and self.hosts.is_shared_with(headers.get("origin", "")):
                return None
            origin = headers.get("origin", "another site")[:100]
            return Refusal(
                403,
                "origin",
                f"A page of {origin} may not use this server. Whoever hosts it can name its own "
                "address in PLAYGROUND_ALLOWED_HOSTS, and pages that may use the API in "
                "PLAYGROUND_CORS_ORIGINS.",
            )
        return None

    async def _bounded(
        self, door: Door, scope: Scope, receive: Receive
    ) -> tuple[Receive, Refusal | None]:
        """Read the whole body where it is short enough; a ``receive`` that yields it once more."""
        path = _path(scope)
        refusal = door.path(scope["method"], path)
        if len(scope.get("query_string", b"")) > _LONGEST_QUERY:
            sentence = (
                f"The address may have at most {_LONGEST_QUERY:,} bytes behind its question mark; "
                "a link that the page makes has what is long behind a #."
            )
            refusal = Refusal(414, "query", sentence)
        if refusal is None and scope["method"] not in _UNSAFE:
            refusal = door.visit(path, self._client(scope))
        if refusal is not None or scope["method"] not in _UNSAFE:
            return receive, refusal
        too_long = Refusal(413, "body", f"The body may have at most {door.bytes_allowed:,} bytes.")
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > door.bytes_allowed:
            return receive, too_long
        body, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return receive, Refusal(400, "body", "The body broke off.")
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > door.bytes_allowed:
                return receive, too_long
        whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def again() -> Message:
            return whole.pop() if whole else await receive()

        return again, door.body(path, bytes(body))

    def _client(self, scope: Scope) -> str:
        """The client that a request counts for; see ``clients.client``."""
        forwarded = ",".join(Headers(scope=scope).getlist("x-forwarded-for"))
        peer = scope.get("client")
        return client(peer[0] if peer else None, forwarded, self.settings.hops)

    def _is_api(self, scope: Scope) -> bool:
        path = _path(scope)
        return any(path == known or path.startswith(f"{known}/") for known in self.api)


class _Answer:
    """One answer: its headers are completed, and its client has to read it in time."""

    def __init__(self, gate: Gate, scope: Scope, send: Send) -> None:
        self.gate, self.started, self.failed = gate, False, False
        self._omit = False
        self.sender = BoundedSend(send)
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        self.shared = (
            origin if origin and gate._is_api(scope) and gate.hosts.is_shared_with(origin) else None
        )
        # Gradio would allow some foreign origins by itself; it is not shown any.
        kept = [(name, value) for name, value in scope["headers"] if name != b"origin"]
        self.scope: Scope = {**scope, "headers": kept} if origin else scope

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            plain = not headers.get("content-type", "").startswith("application/json")
            # Starlette sends a plain answer of its own before it raises an unforeseen error.
            self._omit = message["status"] == 500 and plain
            self.failed = message["status"] == 500 and not plain
        if self._omit:
            return
        if message["type"] == "http.response.start":
            self.started = True
            for name in [n for n in headers if n.startswith("access-control-")]:
                del headers[name]
            self.gate.headers.set(headers)
            if message["status"] == 408:
                headers["Connection"] = "close"  # the rest of the body would still come
            if self.shared is not None:
                headers["Access-Control-Allow-Origin"] = self.shared
                headers["Access-Control-Allow-Methods"] = "GET, POST"
                headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
                headers["Access-Control-Max-Age"] = "600"
                headers.add_vary_header("Origin")
                headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        await self.sender.send(message)


def _slow_body(error: BaseException) -> SlowBody | None:
    """The ``SlowBody`` that this error is or was made from, as where an answer had started."""
    if isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    found = error.__cause__ or error
    return found if isinstance(found, SlowBody) else None


def _path(scope: Scope) -> str:
    """The path below where the application is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"


def _is_preflight(scope: Scope) -> bool:
    return scope["method"] == "OPTIONS" and any(
        name == b"access-control-request-method" for name, _ in scope["headers"]
    )
