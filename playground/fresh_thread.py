"""Work that uses torch, on a thread that ends with it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def run_in_fresh_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call ``work`` on a thread of its own; returns or raises what it does.

    OpenMP keeps a team of threads for every thread that ever computed, and lets none of them wait
    actively once there are more than processors: a step of the decode loop then takes half as long
    again. Work that computes beside the loop therefore runs here, and its team ends with it.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="fresh") as thread:
        return thread.submit(work, *args, **kwargs).result()
