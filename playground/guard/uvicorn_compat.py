"""Everything the guard needs of uvicorn that has no public name, each under a name of our own.

ASGI has no way to drop a client, and no word for a connection that has sent no request yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


def transport(send: Any) -> Any:
    """The connection that uvicorn's ``send`` writes to; None under another server."""
    return getattr(getattr(send, "__self__", None), "transport", None)


@dataclass(frozen=True)
class Idle:
    """A connection without a request under way, after ``last`` (None: it never had one)."""

    connection: Any
    last: Any

    def drop(self) -> None:
        self.connection.transport.abort()


def idle_connections(server: Any) -> Iterator[Idle]:
    """The connections that wait for the rest of a request's head, or for what follows an answer.

    uvicorn closes those itself that send nothing at all between two requests, after five seconds.
    """
    for connection in list(server.server_state.connections):
        last = connection.cycle
        if last is None or last.response_complete:
            yield Idle(connection, last)
