"""Gradio, imported without the stubs it writes for editors at every start.

For each component Gradio parses its own source and writes a ``.pyi`` file beside it, which takes as
long as all the rest of the import. It skips a component whose source is in no file, and finds that
out with ``inspect.getfile``. https://github.com/gradio-app/gradio/pull/11394 has the same aim.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _without_stubs() -> Iterator[None]:
    found = inspect.getfile

    def getfile(thing: object) -> str:
        if sys._getframe(1).f_globals.get("__name__") == "gradio.component_meta":
            raise OSError("no stubs are wanted")
        return found(thing)  # type: ignore[arg-type]

    inspect.getfile = getfile
    try:
        yield
    finally:
        inspect.getfile = found


with _without_stubs():
    import gradio  # noqa: F401
