"""The client that a request counts for: an address, or nobody for this machine itself."""

from __future__ import annotations

import ipaddress

_NETWORK = 64  # bits of an IPv6 address; one household or server owns all that begin alike


def client(peer: str | None, forwarded: str | None, proxies: int) -> str:
    """The address a request is counted for; empty for this machine itself.

    ``peer`` is the connection's other end and ``forwarded`` the header X-Forwarded-For, to which
    each of the ``proxies`` in front of the server has added the address it was reached from:
    whatever stands further left was written by the client and is not believed.
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
