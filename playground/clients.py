"""The client that a request is counted for: an address, or none for this machine itself."""

from __future__ import annotations

import ipaddress

_NETWORK = 64  # bits of an IPv6 prefix: one household or server owns all addresses of one


def client(peer: str | None, forwarded: str | None, proxies: int) -> str:
    """The address a request is counted for; empty for this machine itself.

    ``peer`` is the connection's other end and ``forwarded`` the header X-Forwarded-For, to which
    each of the ``proxies`` in front of the server has appended the address it was reached from.
    Entries further left were written by the client and are ignored.
    """
    named = [part.strip() for part in (forwarded or "").split(",")]
    behind = _address(named[-proxies]) if 0 < proxies <= len(named) else None
    address = behind or _address(peer or "")
    if address is None or address.is_loopback:
        return ""
    if address.version == 6:
        return str(ipaddress.ip_network((address, _NETWORK), strict=False))
    return str(address)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
