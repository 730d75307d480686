"""Products whose weights are kept in 16 bits and multiplied in 32, by torch's FBGEMM.

A step of few rows takes about as long as its weights take to be read. Models are published in 16
bits; converted to float32 for a CPU, every weight still fits float16 once the tensor is scaled by a
power of two. Then half as much is read, and no bit of any weight or product is lost.

Source: FBGEMM's float16 GEMM, ``torch.ops.quantized.linear_dynamic_fp16``.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from playground.engine.scripted import scripted
from playground.models import device
from playground.process import Measurements

COUNTED = 128  # rows up to which a product computes as many as keep a row's bits
_IDLE = 16  # rows beside them that are computed and dropped, at most
_COLUMNS = 64  # of the products that are compared
_DRAWS = 4  # random batches, each of as many rows as the largest product has


class Fp16Linear:
    """``x @ weight.T + bias`` for ``x`` of any floating dtype, summed in float32.

    ``scaled``, the weight ``[outputs, inputs]`` times ``power``, is exact in float16; the weight
    itself is of ``dtype``. A row's bits do not depend on the rows beside it, up to ``COUNTED`` of
    them: the kernel sums one or two rows in another order than more, so ``rows[n]`` of them are
    computed for ``n``.
    """

    def __init__(
        self,
        scaled: Tensor,
        power: float,
        bias: Tensor | None,
        rows: list[int],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.packed = _packed(scaled, bias if bias is None else bias.float() * power)
        self.nbytes = 2 * scaled.numel()
        self.shape = (*scaled.shape, bias is not None)
        self._back = 1 / power
        self._rows, self._dtype = rows, dtype

    def __call__(self, x: Tensor) -> Tensor:
        return _product(x, self.packed, self._back, self._rows)

    def weight(self) -> Tensor:
        scaled: Tensor = torch.ops.quantized.linear_unpack_fp16(self.packed)[0]
        return scaled.float().mul_(self._back).to(self._dtype)


@scripted
def _product(
    x: Tensor,
    packed: torch.classes.quantized.LinearPackedParamsBase,  # type: ignore[name-defined]
    back: float,
    rows: list[int],
) -> Tensor:
    flat = x.reshape(-1, x.shape[-1]).float()
    n = flat.shape[0]
    computed = rows[n] if n < len(rows) else n
    if computed != n:
        flat = F.pad(flat, [0, 0, 0, computed - n])
    out: Tensor = torch.ops.quantized.linear_dynamic_fp16(flat, packed)
    if computed != n:
        out = out[:n]
    if back != 1.0:
        out = out.mul_(back)
    return torch.unflatten(out.to(x.dtype), 0, x.shape[:-1])


def fp16_linear(weight: Tensor, bias: Tensor | None, kernels: Measurements) -> Fp16Linear | None:
    """The product with a weight ``[outputs, inputs]``, or None where it cannot be or would not
    help: for a weight that float16 cannot hold, on a CPU that the kernel is not for, or on one that
    multiplies bfloat16 natively.
    """
    if weight.dtype == torch.bfloat16 and device.bfloat16_is_fast():
        return None
    inputs, threads = weight.shape[1], torch.get_num_threads()
    rows = kernels.once((fp16_linear, inputs, threads), lambda: _rows_that_keep_bits(inputs))
    if rows is None:
        return None
    found = _scaled(weight.float())
    return None if found is None else Fp16Linear(*found, bias, rows, weight.dtype)


def _scaled(weight: Tensor) -> tuple[Tensor, float] | None:
    """The weight times a power of two, 1 if possible, so that float16 holds it; and the power."""
    largest = float(weight.abs().max())
    if not math.isfinite(largest):
        return None
    if _is_exact(weight):
        return weight, 1.0
    power = 2.0 ** (15 - math.frexp(largest)[1])  # the largest becomes less than 2¹⁵
    scaled = weight * power
    return (scaled, power) if _is_exact(scaled) else None


def _is_exact(weight: Tensor) -> bool:
    return torch.equal(weight.half().float(), weight)


def _rows_that_keep_bits(inputs: int) -> list[int] | None:
    """For each number of rows the least number to compute, so that they get the bits they get in
    every other number; None where there is no such number, or no such kernel.

    Each number is tried with as many different rows, ``_DRAWS`` times, and a lone row with all of
    them. What only the model's own states show is found when its forward is checked.
    """
    generator = torch.Generator().manual_seed(0)
    most = COUNTED + _IDLE
    weight = torch.randn(_COLUMNS, inputs, generator=generator)
    kept = [0] + [most] * most
    try:
        packed = _packed(weight, None)
        for _ in range(_DRAWS):
            rows = torch.randn(most, inputs, generator=generator)
            usual = _product(rows, packed, 1.0, [])
            for n in range(1, most + 1):
                equal = (_product(rows[:n], packed, 1.0, []) == usual[:n]).all(1)
                kept[n] = min(kept[n], int(equal.long().cumprod(0).sum()))
            few = range(0 if kept[1] else most, most)  # a lone row often differs only rarely
            alone = [_product(rows[i : i + 1], packed, 1.0, [])[0] for i in few]
            if alone and not torch.equal(torch.stack(alone), usual):
                kept[1] = 0
    except (AttributeError, RuntimeError):
        return None
    found = [
        next((m for m in range(n, n + _IDLE + 1) if kept[m] >= n), -1) for n in range(COUNTED + 1)
    ]
    return None if -1 in found else found


def _packed(weight: Tensor, bias: Tensor | None) -> Any:
    return torch.ops.quantized.linear_prepack_fp16(weight.contiguous(), bias)
