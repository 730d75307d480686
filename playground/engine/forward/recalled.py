"""What the self-check found at an earlier start, where nothing has changed that it depends on.

It depends on the weights, on the code that computes with them (ours, torch's, transformers'), on
the processor or accelerator, and on everything by which torch chooses a kernel.
"""

from __future__ import annotations

import hashlib
import logging
import platform
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
import transformers

from playground.engine.attention.kv_slots import KVSlots
from playground.engine.attention.row_caches import RowCaches
from playground.engine.forward.eager import Eager
from playground.engine.forward.packed_linear import product_of
from playground.engine.forward.plain import Plain
from playground.engine.forward.row_counts import FIXED_ROWS, MOST_ROWS, RowCounts
from playground.engine.forward.selfcheck import row_counts
from playground.engine.forward.step_check import steps_of
from playground.models.provenance import plain_parts
from playground.process import Process

log = logging.getLogger(__name__)

_TRIED = (1, 2, 3, 7, 13, FIXED_ROWS)  # rows of one step each, to verify a remembered result
_PROCESSOR = ("vendor_id", "cpu family", "model", "model name", "stepping", "microcode", "flags")


def recalled_row_counts(eager: Eager | Plain, process: Process, weights: str) -> RowCounts | None:
    """As ``selfcheck.row_counts``, from what is remembered of an earlier start where it can be.

    ``weights`` is their ``digest``. A remembered result is tried on a step of each of some numbers
    of rows, and found anew where one of them contradicts it.
    """
    remembered = process.remembered
    if remembered is None:
        return row_counts(eager, process.kernels)
    circumstances = _circumstances(eager, weights)
    found = _row_counts(remembered.load(circumstances))
    if found is not None and not steps_of(eager, MOST_ROWS).differing(_TRIED, counts=found):
        return found
    if found is not None:
        log.warning("a remembered self-check does not hold any more; it is made again")
    begun = perf_counter()
    counts = row_counts(eager, process.kernels)
    if counts is not None and perf_counter() - begun > remembered.shortest:
        remembered.save(circumstances, list(counts.computed))
    return counts


def digest(model: Any) -> str:
    """A hash of all weights of a model, by name."""
    hashed = hashlib.sha256()
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        hashed.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        for part in plain_parts(tensor):
            plain = part.cpu().contiguous().reshape(-1).view(torch.uint8)
            hashed.update(plain.numpy().data)
    return hashed.hexdigest()


def _row_counts(result: Any) -> RowCounts | None:
    """A remembered result, where it has the form of one."""
    if not isinstance(result, list) or not FIXED_ROWS < len(result) <= MOST_ROWS + 1:
        return None
    if not all(type(computed) is int for computed in result) or result[0] != 0:
        return None
    if any(not n <= computed < len(result) for n, computed in enumerate(result)):
        return None
    return RowCounts(tuple(result)) if _rises(result) else None


def _rises(numbers: Sequence[int]) -> bool:
    return all(a <= b for a, b in pairwise(numbers))


def _circumstances(eager: Eager | Plain, weights: str) -> dict[str, str]:
    model, device, slots = eager.model, eager.device, eager.slots
    on_gpu = device.type == "cuda"
    products = (product_of(module) for module in model.modules())
    packed = Counter(type(product).__qualname__ for product in products if product is not None)
    return {
        "weights": weights,
        "model": type(model).__qualname__,
        "config": model.config.to_json_string(),
        "code": _code(),
        "torch": f"{torch.__version__} {torch.__config__.show()}",
        "threads": torch.__config__.parallel_info(),
        "precision": f"{torch.get_float32_matmul_precision()} "
        f"deterministic {torch.are_deterministic_algorithms_enabled()}",
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "processor": f"{platform.platform()} {_processor()}",
        "device": f"{device} {torch.cuda.get_device_properties(device) if on_gpu else ''}",
        "libraries": f"{torch.version.cuda} {_cudnn() if on_gpu else ''}",
        "forward": f"{type(eager).__qualname__} {getattr(eager, 'grouping', None)} "
        f"{sorted(packed.items())}",
        "slots": f"{min(slots.count, MOST_ROWS)} of {slots.length}, {_kept(slots)}",
    }


def _kept(slots: KVSlots | RowCaches) -> str:
    return str(slots.keys.dtype) if isinstance(slots, KVSlots) else "caches of rows"


def _cudnn() -> int | None:
    version: int | None = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return version


@cache
def _code() -> str:
    """A hash of the source files by which forwards are computed and checked."""
    hashed = hashlib.sha256()
    engine = Path(__file__).parent.parent
    for file in sorted([*engine.rglob("*.py"), *engine.parent.glob("*.py")]):
        hashed.update(file.name.encode() + file.read_bytes())
    return hashed.hexdigest()


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:  # elsewhere than on Linux
        return platform.processor()
    return "; ".join(line for line in lines if line.split("\t")[0].strip() in _PROCESSOR)
