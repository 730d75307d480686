"""The client that a request is counted for."""

from __future__ import annotations

import pytest

from playground.clients import client


@pytest.mark.parametrize(
    "peer, forwarded, proxies, counted",
    [
        ("203.0.113.5", None, 0, "203.0.113.5"),
        ("203.0.113.5", "198.51.100.1", 0, "203.0.113.5"),  # anybody can write that header
        ("10.0.0.1", "198.51.100.1", 1, "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", 1, "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6,198.51.100.1, 10.0.0.2", 2, "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1", 2, "10.0.0.1"),
        ("10.0.0.1", "", 1, "10.0.0.1"),
        ("10.0.0.1", "no address", 1, "10.0.0.1"),
        ("127.0.0.1", None, 0, ""),
        ("::1", None, 0, ""),
        ("::ffff:127.0.0.1", None, 0, ""),
        ("::ffff:203.0.113.5", None, 0, "203.0.113.5"),
        ("2001:db8:1:2:3:4:5:6", None, 0, "2001:db8:1:2::/64"),
        (None, None, 0, ""),
        ("testclient", None, 0, ""),
    ],
)
def test_a_request_is_counted_for_the_address_it_came_from(peer, forwarded, proxies, counted):
    assert client(peer, forwarded, proxies) == counted
