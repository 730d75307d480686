"""Functions that a traced forward calls as TorchScript, with their branches and loops.

A trace alone records one call: the branch that was taken, and each pass of a loop.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch

Function = TypeVar("Function", bound=Callable[..., Any])


def scripted(function: Function) -> Function:
    """Have the function compiled as TorchScript where it is traced; it runs as Python elsewhere.

    It is compiled at its first trace. In a torch without TorchScript it is returned as it is.
    """
    compiled: list[Any] = []
    is_tracing = getattr(getattr(torch, "jit", None), "is_tracing", None)
    if is_tracing is None:
        return function

    @functools.wraps(function)
    def call(*given: Any) -> Any:
        if not is_tracing():
            return function(*given)
        if not compiled:
            compiled.append(torch.jit.script(function))
        return compiled[0](*given)

    return call  # type: ignore[return-value]
