"""One password for everybody, as browsers ask for it and as programs send their keys."""

from __future__ import annotations

import base64
import binascii
import hmac

from starlette.datastructures import Headers
from starlette.types import Scope

from playground.settings import Settings

OPEN = ("/healthz",)  # a watchdog has no password, and learns nothing of anybody


class Password:
    """Whether a request may come in; every one may where the host set no password."""

    def __init__(self, settings: Settings) -> None:
        given = settings.password
        self._known = given.get_secret_value().encode() if given else b""

    def admits(self, scope: Scope, headers: Headers) -> bool:
        if not self._known or scope["path"] in OPEN or _is_preflight(scope, headers):
            return True
        told = _told(headers.get("authorization", ""))
        return hmac.compare_digest(told, self._known)  # as long for any wrong one


def _told(authorization: str) -> bytes:
    """The password in a header: behind any name, or a program's key; empty where there is none."""
    kind, _, value = authorization.partition(" ")
    if kind.lower() == "bearer":
        return value.strip().encode()
    if kind.lower() != "basic":
        return b""
    try:
        return base64.b64decode(value, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""


def _is_preflight(scope: Scope, headers: Headers) -> bool:
    """Whether a browser asks what it may send: it sends no password with that."""
    return scope["method"] == "OPTIONS" and "access-control-request-method" in headers
