"""Functions that a traced forward calls whole.

A trace keeps what one call did: the way it took at a branch, and how often it went round a loop.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch

Function = TypeVar("Function", bound=Callable[..., Any])


def scripted(function: Function) -> Function:
    """The function, of which a trace keeps the call, with its branches and loops.

    It is compiled as TorchScript when a trace first meets it, and runs as Python elsewhere, as
    everywhere in a torch that has no TorchScript.
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
