"""Work that uses torch, on a thread that ends with it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What ``work`` returns or raises.

    OpenMP keeps a team of threads for every thread that ever computed, and lets none of them wait
    actively once there are more than processors: a step of the decode loop then takes half as long
    again. Whoever computes beside the loop therefore does it here, and the team goes with the
    thread.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="aside") as thread:
        return thread.submit(work, *args, **kwargs).result()
