"""How a coroutine waits for a run: no thread waits with it."""

import asyncio
import contextlib
from collections.abc import Callable

from playground.engine import Run


async def until(ready: Callable[[], bool], run: Run, timeout: float) -> bool:
    """Whether ``ready``, which is asked after each change of ``run``, holds in ``timeout`` seconds.

    It is asked on the decode loop's thread: a look at the run, and no more.
    """
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()

    def wake() -> None:
        if not waiter.done():
            waiter.set_result(None)

    def tell() -> None:
        if ready():
            with contextlib.suppress(RuntimeError):  # the server went down meanwhile
                loop.call_soon_threadsafe(wake)

    timer = loop.call_later(timeout, wake)
    try:
        with run.followed(tell):
            if not ready():
                await waiter
    finally:
        timer.cancel()
    return ready()


async def ended(run: Run, timeout: float) -> bool:
    """Whether ``run`` is over in ``timeout`` seconds."""
    return await until(lambda: run.done, run, timeout)
