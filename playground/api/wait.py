"""Waiting for a run in a coroutine, without a thread that waits."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol


class Followed(Protocol):
    """A run or an experiment, which changes until it is done."""

    @property
    def done(self) -> bool:
        """Whether it will not change any more."""

    def subscribe(self, listener: Callable[[], None], /) -> AbstractContextManager[None]:
        """Call ``listener`` at every change."""


async def until(ready: Callable[[], bool], run: Followed, timeout: float) -> bool:
    """Whether ``ready`` becomes true within ``timeout`` seconds.

    It is called at every change of ``run``, on the decode loop's thread, so it must be quick.
    """
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()

    def wake() -> None:
        if not waiter.done():
            waiter.set_result(None)

    def check() -> None:
        if ready():
            with contextlib.suppress(RuntimeError):  # the event loop was closed meanwhile
                loop.call_soon_threadsafe(wake)

    timer = loop.call_later(timeout, wake)
    try:
        with run.subscribe(check):
            if not ready():
                await waiter
    finally:
        timer.cancel()
    return ready()


async def ended(run: Followed, timeout: float) -> bool:
    """Whether ``run`` is over in ``timeout`` seconds."""
    return await until(lambda: run.done, run, timeout)
