"""Luck as a function: (seed, sample, position, token) draws the same noise on every device.

Sampling is ``argmax(scores + gumbel)`` (the Gumbel-max trick), so two recipes that share a seed
part exactly where a setting changed the choice, and never because a random stream moved on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .topk import left, likeliest

_MASK = (1 << 64) - 1
_FEW = 4  # one token in so many left: beyond, all are drawn at once, and others may share them


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


def gumbel(
    seed: int, sample: int, position: int, size: int, device: torch.device | str = "cpu"
) -> Tensor:
    """Standard Gumbel noise for every token, float32 ``[size]``."""
    tokens = torch.arange(size, dtype=torch.int64, device=device)
    return gumbel_of(seed, sample, position, tokens)


def gumbel_of(seed: int, sample: int, position: int, tokens: Tensor) -> Tensor:
    """What ``gumbel`` gives these ids (int64, of any shape), for them alone.

    The hash is integer arithmetic, equal bit for bit everywhere; the logarithms are float64, so
    rounding to float32 hides how devices differ in their last bits.
    """
    return _noise(tokens, _signed(_key(seed, sample, position, "token")))


def _noise(tokens: Tensor, key: Tensor | int) -> Tensor:
    value = (tokens + 1).mul_(_signed(0x9E3779B97F4A7C15))
    value.add_(key)
    value.bitwise_xor_(_shift(value, 30)).mul_(_signed(0xBF58476D1CE4E5B9))
    value.bitwise_xor_(_shift(value, 27)).mul_(_signed(0x94D049BB133111EB))
    value.bitwise_xor_(_shift(value, 31))
    uniform = _shift(value, 11).double().add_(0.5).mul_(2.0**-53)
    return uniform.log_().neg_().log_().neg_().float()


def _shift(value: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64, which torch shifts arithmetically."""
    return (value >> bits).bitwise_and_((1 << (64 - bits)) - 1)


class Luck:
    """The noise of one position by sample, drawn once for all who ask."""

    def __init__(
        self, seed: int, position: int, size: int, device: torch.device | str = "cpu"
    ) -> None:
        self.seed, self.position, self.size, self.device = seed, position, size, device
        self.drawn: dict[int, Tensor] = {}

    def __call__(self, sample: int) -> Tensor:
        """Every token's, float32 ``[size]``."""
        if sample not in self.drawn:
            self.drawn[sample] = gumbel(self.seed, sample, self.position, self.size, self.device)
        return self.drawn[sample]

    def of(self, sample: int, tokens: Tensor) -> Tensor:
        """These tokens' alone."""
        if sample in self.drawn:
            return self.drawn[sample][tokens]
        return gumbel_of(self.seed, sample, self.position, tokens)


def draw(scores: Tensor, luck: Callable[[int], Tensor], sample: int) -> int:
    """The token that is largest in ``scores + luck(sample)``, of a row of scores ``[vocab]``.

    Where few tokens are left, noise is drawn for them alone, if ``luck`` is a ``Luck``.
    """
    if isinstance(luck, Luck) and sample not in luck.drawn:
        _, few = left(scores[None], len(scores) // _FEW, [True])
        if len(few):
            return int(few[(scores[few] + luck.of(sample, few)).argmax()])
    return _of_all(scores, luck, sample)


def _of_all(scores: Tensor, luck: Callable[[int], Tensor], sample: int) -> int:
    return int(likeliest((scores + luck(sample))[None]))


def draw_each(scores: Tensor, lucks: Sequence[Luck], samples: Sequence[int]) -> list[int]:
    """What ``draw`` finds in each row ``[n, vocab]``: at once in all of which few are left."""
    most = scores.shape[-1] // _FEW
    able = [sample not in luck.drawn for luck, sample in zip(lucks, samples, strict=True)]
    rows, tokens = left(scores, most, able)
    keys = [
        _signed(_key(luck.seed, sample, luck.position, "token"))
        for luck, sample in zip(lucks, samples, strict=True)
    ]
    noise = _noise(tokens, torch.tensor(keys, device=scores.device)[rows])
    values = scores[rows, tokens] + noise
    best = values.new_full([len(scores)], -torch.inf).scatter_reduce_(0, rows, values, "amax")
    # Of equal ones the first. Of what is no number ``none``; more, where none were looked into.
    none = scores.shape[-1]
    first = torch.where(values == best[rows], tokens, none)
    found = first.new_full([len(scores)], none + 1).scatter_reduce_(0, rows, first, "amin")
    drawn = []
    for token, row, luck, sample in zip(found.tolist(), scores, lucks, samples, strict=True):
        if token < none:
            drawn.append(token)
        else:
            drawn.append((draw if token == none else _of_all)(row, luck, sample))
    return drawn


def uniform(seed: int, sample: int, position: int, stream: str) -> float:
    """One number in (0, 1) from a named stream of its own, apart from the tokens' noise."""
    return ((_key(seed, sample, position, stream) >> 11) + 0.5) * 2.0**-53
