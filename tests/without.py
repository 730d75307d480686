"""A pytest plugin: torch as a later release may be, without the namespaces of the fast paths.

``WITHOUT="torch.jit,torch.ops.quantized,torch.ops.mkldnn" python -m pytest -p tests.without`` hides
them from this project's modules; torch and transformers still find them.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

import torch

OURS = ("playground", "strategies", "tests")


class Gone(ModuleType):
    """A namespace of torch that is not there for our modules."""

    def __init__(self, name: str, real: Any) -> None:
        super().__init__(name)
        self.__dict__["_real"] = real

    def __getattribute__(self, name: str) -> Any:
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if name.startswith("__") or caller == __name__:
            return super().__getattribute__(name)
        if caller.split(".")[0] in OURS:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(self._real, name)


def take_away(names: list[str]) -> None:
    for name in names:
        owner, _, attribute = name.rpartition(".")
        parent = torch.ops if owner == "torch.ops" else torch
        setattr(parent, attribute, Gone(name, getattr(parent, attribute)))


take_away([name for name in os.environ.get("WITHOUT", "").split(",") if name])
