"""Whose requests are served, by their ``Host`` and ``Origin`` headers.

A browser sets both, and no page can make it lie. A page of another origin is refused. So is a host
name that is not this server's: whoever owns a name may point it at this server's address, and a
page of theirs would then be of the server's own origin (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from playground.settings import Settings

_PORTS = {"http": 80, "https": 443}
_SAFE = {"GET", "HEAD", "OPTIONS"}


class HostCheck:
    """Knows the names of this server, from the settings and the machine."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.loopback = _is_loopback(settings.listen)
        self.machine = {socket.gethostname().lower()}
        self.machine |= {f"{name}.local" for name in self.machine}
        self.space = (settings.space_host or "").lower()
        if not self.loopback:  # on a thread: the look-up may meet a network that does not answer
            threading.Thread(target=self._add_full_name, daemon=True, name="own-name").start()

    def is_own_host(self, method: str, headers: Headers) -> bool:
        """Whether the request reached this server by a name of its own.

        On a Space the hub's proxies route by name, and their probes use other names, so there only
        methods that change something are checked.
        """
        name = _host(headers.get("host", ""))
        if not name or (self.settings.on_space and method in _SAFE):
            return True
        return (
            _is_address(name)
            or name == "localhost"
            or name.endswith(".localhost")
            or name in self.machine
            or name == self.space
            or any(_matches(name, pattern) for pattern in self.settings.allowed_hosts)
            # Nobody can own a name without a dot, except in a network of their own.
            or (not self.loopback and "." not in name)
        )

    def is_own_origin(self, headers: Headers) -> bool:
        """Whether a request comes from a page of this server, or from no page at all."""
        origin = headers.get("origin")
        if headers.get("sec-fetch-site") in ("same-origin", "none"):
            return True
        if origin is None:
            return headers.get("sec-fetch-site") is None
        hosts = [headers.get("host", "")]
        if self.settings.hops:
            hosts += headers.get("x-forwarded-host", "").split(",")[-1:]
        scheme, _, rest = origin.lower().partition("://")
        if any(_same(rest, host.strip().lower(), scheme) for host in hosts):
            return True
        named = [*self.settings.allowed_hosts, self.space]
        return any(_matches(_host(rest), name) for name in named if name not in ("", "*"))

    def is_shared_with(self, origin: str) -> bool:
        """Whether pages of this origin may use the API, by the settings."""
        allowed = self.settings.cors_origins
        return "*" in allowed or any(_covers(pattern, origin.lower()) for pattern in allowed)

    def _add_full_name(self) -> None:
        self.machine = self.machine | {socket.getfqdn().lower()}


def _host(netloc: str) -> str:
    """The name in what stands before a path: without a port, brackets or the root's dot."""
    try:
        return (urlsplit(f"//{netloc}").hostname or "").rstrip(".")
    except ValueError:
        return netloc.lower()


def _same(origin: str, host: str, scheme: str) -> bool:
    port = _PORTS.get(scheme)
    return bool(host) and origin.removesuffix(f":{port}") == host.removesuffix(f":{port}")


def _matches(name: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return name.endswith(pattern[1:])
    return pattern in ("*", name)


def _covers(pattern: str, origin: str) -> bool:
    scheme, _, rest = pattern.partition("://*")
    if not rest:
        return pattern == origin
    return origin.startswith(f"{scheme}://") and origin.endswith(rest)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_loopback(listen: str) -> bool:
    if listen == "localhost":
        return True
    return _is_address(listen.strip("[]")) and ipaddress.ip_address(listen.strip("[]")).is_loopback
