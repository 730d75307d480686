"""Luck as a function: (seed, sample, position, token) draws the same noise on every device.

Sampling is ``argmax(scores + gumbel)`` (the Gumbel-max trick), so two recipes that share a seed
part exactly where a setting changed the choice, and never because a random stream moved on.
"""

from __future__ import annotations

import torch
from torch import Tensor

_MASK = (1 << 64) - 1


def _signed(value: int) -> int:
    """The 64-bit pattern of ``value`` as torch's int64 reads it."""
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


def _mix(value: int) -> int:
    """SplitMix64's finaliser (Steele, Lea & Flood 2014) on one 64-bit number."""
    value &= _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def _key(seed: int, sample: int, position: int, stream: str) -> int:
    key = 0x9E3779B97F4A7C15
    for part in (seed, sample, position, int.from_bytes(stream.encode(), "big")):
        key = _mix(key + _mix(part + 0x9E3779B97F4A7C15))
    return key


def _shift(value: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64, which torch shifts arithmetically."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def gumbel(
    seed: int, sample: int, position: int, size: int, device: torch.device | str = "cpu"
) -> Tensor:
    """Standard Gumbel noise for every token, float32 ``[size]``.

    The hash is integer arithmetic, equal bit for bit everywhere; the logarithms are float64, so
    rounding to float32 hides how devices differ in their last bits.
    """
    value = torch.arange(1, size + 1, dtype=torch.int64, device=device)
    value = value * _signed(0x9E3779B97F4A7C15) + _signed(_key(seed, sample, position, "token"))
    value = (value ^ _shift(value, 30)) * _signed(0xBF58476D1CE4E5B9)
    value = (value ^ _shift(value, 27)) * _signed(0x94D049BB133111EB)
    value = value ^ _shift(value, 31)
    uniform = (_shift(value, 11).double() + 0.5) * 2.0**-53
    return uniform.log_().neg_().log_().neg_().float()


def uniform(seed: int, sample: int, position: int, stream: str) -> float:
    """One number in (0, 1) from a named stream of its own, apart from the tokens' noise."""
    return ((_key(seed, sample, position, stream) >> 11) + 0.5) * 2.0**-53
