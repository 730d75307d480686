"""Runs a function on a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Thread
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def run_in_fresh_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call ``work`` on a thread of its own; returns or raises what it does.

    OpenMP keeps a team of worker threads for every thread that ever computed. Once there are more
    of them than processors, none of them waits actively any more, and a step of the decode loop
    takes half as long again. Other work that computes therefore runs here: its team ends with its
    thread.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="fresh") as thread:
        return thread.submit(work, *args, **kwargs).result()


def on_own_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Start ``work`` on a thread that the process does not wait for at its end."""
    found: Future[T] = Future()

    def run() -> None:
        try:
            found.set_result(work(*args, **kwargs))
        except BaseException as error:
            found.set_exception(error)

    Thread(target=run, name="own", daemon=True).start()
    return found
