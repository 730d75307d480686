"""A client that sends its request slowly is refused: it would hold a connection without end.

The head of a request has ``HEAD_S`` seconds. Its body has ``BODY_S`` and, since a long one takes
longer on a slow line, a second more for every ``BYTES_PER_S`` that have come.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from playground.guard import uvicorn_compat
from playground.guard.uvicorn_compat import Idle

log = logging.getLogger(__name__)

HEAD_S = 20.0
BODY_S = 20.0
BYTES_PER_S = 3000
_LOOK_S = 1.0


class SlowBody(HTTPException):
    """The body did not come in time. FastAPI passes this exception on as it is."""

    def __init__(self) -> None:
        super().__init__(
            408,
            f"The body came too slowly: it may take {BODY_S:.0f} s, and a second more for every "
            f"{BYTES_PER_S:,} bytes.",
        )


class BoundedReceive:
    """Receives the messages of one request; raises ``SlowBody`` where its body comes too slowly.

    Only the time that is spent waiting counts. After the body it waits as long as it is asked to,
    since the next message is that the client has left.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._whole = False
        self._waited = 0.0
        self._bytes = 0

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        begun = time.monotonic()
        try:
            async with asyncio.timeout(BODY_S + self._bytes / BYTES_PER_S - self._waited):
                message = await self._receive()
        except TimeoutError:
            log.info("a client that sent its body too slowly was refused")
            raise SlowBody from None
        finally:
            self._waited += time.monotonic() - begun
        self._bytes += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        return message


async def drop_slow_heads(server: Callable[[], Any]) -> None:
    """Drop a uvicorn server's clients whose request's head does not come in time; never returns.

    ``server()`` is None until it is there.
    """
    since: dict[Idle, float] = {}
    while True:
        await asyncio.sleep(_LOOK_S)
        found = server()
        now, before = time.monotonic(), since
        idle = list(uvicorn_compat.idle_connections(found)) if found is not None else []
        since = {each: before.get(each, now) for each in idle}
        late = [each for each in idle if now - since[each] >= HEAD_S]
        for each in late:
            each.drop()
        if late:
            log.info("%d clients that sent no whole request in time were dropped", len(late))
