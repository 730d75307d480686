"""A reader who stops reading is dropped: what is written for it would grow without end.

uvicorn hands a piece to the connection's buffer at once, however long it is, and waits at the next
piece until the buffer is nearly empty. So an answer is written in small pieces, and each must be
taken in time. To whatever makes the answer a dropped reader has left, as any other may.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from typing import Any

from starlette.types import Message, Send

log = logging.getLogger(__name__)

PIECE = 64 << 10  # bytes; uvicorn's own mark above which a connection's buffer is full
STREAM = 16 << 10  # bytes of a stream on this side of the connection, in each of two buffers
STALL_S = 20.0  # for one piece: 3 KB a second are enough
_LOOK_S = 0.05
# Unknown to Python before 3.12.
_MARK = getattr(socket, "TCP_NOTSENT_LOWAT", 25 if sys.platform == "linux" else None)


class Reader:
    """Sends one response to a client, for as long as it keeps reading."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._transport = _transport(send)
        self._dropped = False

    async def send(self, message: Message) -> None:
        body = message.get("body", b"")
        if message["type"] == "http.response.start":
            self._bound(message)
        if message["type"] != "http.response.body" or len(body) <= PIECE:
            await self._taken(message)
            return
        for start in range(0, len(body), PIECE):
            more = start + PIECE < len(body) or message.get("more_body", False)
            piece = {**message, "body": body[start : start + PIECE], "more_body": more}
            await self._taken(piece)

    async def finish(self) -> None:
        """Wait until the last piece was taken, too."""
        waited = 0.0
        while self._transport is not None and self._transport.get_write_buffer_size():
            if waited >= STALL_S:
                await self._stalled()
                return
            await asyncio.sleep(_LOOK_S)
            waited += _LOOK_S

    def drop(self) -> None:
        """End the connection without waiting for what was written to it."""
        self._dropped = True
        if self._transport is not None:
            self._transport.abort()

    async def _taken(self, message: Message) -> None:
        if self._dropped:
            return
        try:
            async with asyncio.timeout(STALL_S):
                await self._send(message)
        except TimeoutError:
            await self._stalled()

    async def _stalled(self) -> None:
        log.info("a client that read nothing for %.0f s was dropped", STALL_S)
        self.drop()
        await asyncio.sleep(0)  # uvicorn is told that the connection ended, then the response

    def _bound(self, message: Message) -> None:
        """Keep little of a stream in buffers, where a reader's absence would not be seen."""
        kinds = (value for name, value in message["headers"] if name.lower() == b"content-type")
        if self._transport is None or not next(kinds, b"").startswith(b"text/event-stream"):
            return
        self._transport.set_write_buffer_limits(high=STREAM)
        connection = self._transport.get_extra_info("socket")
        if connection is not None and _MARK is not None:
            connection.setsockopt(socket.IPPROTO_TCP, _MARK, STREAM)


def _transport(send: Any) -> Any:
    """The connection that uvicorn's ``send`` writes to; None under another server.

    ASGI has no way to drop a client. What uvicorn calls it is asserted in ``tests/guard``.
    """
    return getattr(getattr(send, "__self__", None), "transport", None)
