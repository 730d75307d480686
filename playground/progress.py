"""A bar that tells how far a run is, in a notebook or on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playground.engine import Run


@contextmanager
def progress(run: Run, shown: bool | None = None) -> Iterator[Callable[[], None]]:
    """A bar of the tokens that a run's columns have written; what it gives is called to move it.

    With ``shown`` None there is one in a notebook and on a terminal. A column that ends early
    takes the tokens that it might still have written from the whole.
    """
    if not (_watched() if shown is None else shown):
        yield lambda: None
        return
    from tqdm.auto import tqdm

    most, lanes = run.request.max_new_tokens, len(run.views)
    bar: Any = tqdm(total=most * lanes, unit=" tokens", desc=_what(run), leave=False)

    def tell() -> None:
        counts = [len(view.path()) for view in run.views]
        bar.total = sum(
            count if view.finish_reason else most
            for count, view in zip(counts, run.views, strict=True)
        )
        bar.set_description_str(_what(run), refresh=False)
        bar.update(sum(counts) - bar.n)

    try:
        yield tell
    finally:
        tell()
        bar.refresh()
        bar.close()


def _what(run: Run) -> str:
    if run.state == "queued":
        return "reading the prompt"
    live = sum(view.finish_reason is None for view in run.views)
    return f"writing {live} of {len(run.views)} columns"


def _watched() -> bool:
    """Whether this is a notebook, or a person's terminal."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if getattr(shell, "kernel", None) is not None:
        return True
    return sys.stderr is not None and sys.stderr.isatty()
