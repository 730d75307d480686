"""A client that stops reading its answer is dropped, since what is buffered for it would grow on.

uvicorn hands a piece of an answer to the connection's buffer at once, however long the piece is,
and waits with the next until the buffer is nearly empty. So an answer is sent in small pieces, and
each must be taken in time. The application sees that the client has left, as at any disconnect.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys

from starlette.types import Message, Send

from playground.guard import uvicorn_compat

log = logging.getLogger(__name__)

PIECE = 64 << 10  # bytes; above this uvicorn takes a connection's buffer for full
STREAM = 16 << 10  # bytes of a stream that the process buffers, and as many the kernel
STALL_S = 20.0  # to take one piece: 3 KB a second are enough
_LOOK_S = 0.05
# Python has the name since 3.12.
_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25 if sys.platform == "linux" else None)


class BoundedSend:
    """Sends one response to a client for as long as it keeps reading."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._transport = uvicorn_compat.transport(send)
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
        """Wait until the last piece is taken, too."""
        waited = 0.0
        while self._transport is not None and self._transport.get_write_buffer_size():
            if waited >= STALL_S:
                await self._stalled()
                return
            await asyncio.sleep(_LOOK_S)
            waited += _LOOK_S

    def drop(self) -> None:
        """End the connection and discard what is buffered for it."""
        self._dropped = True
        if self._transport is not None:
            self._transport.abort()

    async def end(self) -> None:
        """Drop the client, and let uvicorn see it before the response ends."""
        self.drop()
        await asyncio.sleep(0)

    async def _taken(self, message: Message) -> None:
        if self._transport is not None and self._transport.is_closing() and not self._dropped:
            await self.end()  # the client has left, and uvicorn hears of it only now
        if self._dropped:
            return
        try:
            async with asyncio.timeout(STALL_S):
                await self._send(message)
        except TimeoutError:
            await self._stalled()

    async def _stalled(self) -> None:
        log.info("a client that read nothing for %.0f s was dropped", STALL_S)
        await self.end()

    def _bound(self, message: Message) -> None:
        """Keep little of a stream in buffers, which would hide that nobody reads."""
        kinds = (value for name, value in message["headers"] if name.lower() == b"content-type")
        if self._transport is None or not next(kinds, b"").startswith(b"text/event-stream"):
            return
        self._transport.set_write_buffer_limits(high=STREAM)
        connection = self._transport.get_extra_info("socket")
        if connection is not None and _NOTSENT_LOWAT is not None:
            connection.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, STREAM)
