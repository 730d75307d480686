"""A traced program's constants, held once: by a pass of torch that has no public name."""

from __future__ import annotations

from typing import Any

import torch


def share_constants(program: Any) -> None:
    """Have equal constants of a program be one: a trace has one for each use, half of all it holds.

    Each comes with the text of the Python stack that it was traced in. Where torch has no such
    pass, the program stays as it is.
    """
    share = getattr(torch._C, "_jit_pass_constant_pooling", None)
    graph = getattr(program, "graph", None)
    if share is not None and graph is not None:
        share(graph)
