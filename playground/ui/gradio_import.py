"""Gradio, imported without the stubs it writes for editors at every start.

For each component Gradio parses its own source and writes a ``.pyi`` file beside it, which takes as
long as all the rest of the import. It skips a component whose source is in no file, and finds that
out with ``inspect.getfile``. https://github.com/gradio-app/gradio/pull/11394 has the same aim.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType


def without_stubs() -> None:
    """Have whoever imports Gradio first import it so; nothing is imported here."""
    if "gradio" not in sys.modules and not any(isinstance(f, _Finder) for f in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds Gradio once, where everybody finds it, and loads it without stubs."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "gradio":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                with _no_stubs():
                    load(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


@contextmanager
def _no_stubs() -> Iterator[None]:
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
