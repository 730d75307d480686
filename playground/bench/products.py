"""The lower bound of a forward's time on a processor: its matrix products alone."""

from __future__ import annotations

import statistics
from time import perf_counter
from typing import Any

_REPEATS = 15


def products_ms(engine: Any, rows: int) -> float:
    """Milliseconds of all products of one forward of so many rows, by the kernels that it uses.

    Each weight is multiplied once, one after another, with nothing between: attention, norms and
    the processing of logits are left out. The median of several.
    """
    import torch

    from playground.engine.forward.packed_linear import product_of

    forward = engine.forward
    found = [product_of(module) for module in forward.model.modules()]
    work: list[tuple[Any, int]] = [(p, p.shape[1]) for p in found if p is not None]
    if not work:
        work = [
            (module, module.in_features)
            for module in forward.model.modules()
            if isinstance(module, torch.nn.Linear)
        ]
    inputs = {
        size: torch.ones(rows, size, dtype=forward.dtype, device=forward.device)
        for size in {size for _, size in work}
    }
    times = []
    with torch.inference_mode():
        for _ in range(_REPEATS + 1):
            begun = perf_counter()
            for product, size in work:
                product(inputs[size])
            if forward.device.type == "cuda":
                torch.cuda.synchronize(forward.device)
            times.append(perf_counter() - begun)
    return statistics.median(times[1:]) * 1e3
