"""Counter-based noise: (seed, sample, position, token) give one number, on every device the same.

Sampling is ``argmax(scores + gumbel)`` (the Gumbel-max trick), so two recipes that share a seed
part exactly where a setting changed the choice, and never because a random stream moved on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .topk import argmax, survivors

_MASK = (1 << 64) - 1
_FEW = 4  # where more than one token in so many is left, noise is computed for all and kept
_NOISIEST = 256  # tokens of a vocabulary, or about so many
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


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
    return gumbel_at(seed, sample, position, tokens)


def gumbel_at(seed: int, sample: int, position: int, tokens: Tensor) -> Tensor:
    """What ``gumbel`` gives for these token ids alone (int64, of any shape).

    The hash is integer arithmetic, equal bit for bit everywhere; the logarithms are float64, so
    rounding to float32 hides how devices differ in their last bits.
    """
    return _gumbel(tokens, _signed(_key(seed, sample, position, "token")))


def topped(noisy: Tensor, top: Tensor) -> Tensor:
    """Gumbel variables ``[rows, n]``, given that the largest of each row is ``top [rows, 1]``.

    In the stable form of Kool, van Hoof & Welling 2019, appendix B.3.
    """
    below = noisy - noisy.amax(-1, keepdim=True)
    # log(1 − exp(below)), each form where it loses nothing
    gap = torch.where(
        below > -0.693, torch.log(-torch.expm1(below)), torch.log1p(-torch.exp(below))
    )
    shift = top - noisy + gap
    return top - shift.clamp(min=0.0) - torch.log1p(torch.exp(-shift.abs()))


def _gumbel(tokens: Tensor, key: Tensor | int) -> Tensor:
    value = (tokens + 1).mul_(_signed(0x9E3779B97F4A7C15))
    value.add_(key)
    value.bitwise_xor_(_shift(value, 30)).mul_(_signed(0xBF58476D1CE4E5B9))
    value.bitwise_xor_(_shift(value, 27)).mul_(_signed(0x94D049BB133111EB))
    return _gumbel_of(value.bitwise_xor_(_shift(value, 31)))


def _gumbel_of(bits: Tensor) -> Tensor:
    uniform = _shift(bits, 11).double().add_(0.5).mul_(2.0**-53)
    return uniform.log_().neg_().log_().neg_().float()


def gumbel_of_steps(seed: int, sample: int, positions: Sequence[int], tokens: Tensor) -> Tensor:
    """What ``gumbel`` gives at each of ``positions`` for its row of token ids (``[n, any]``)."""
    keys = [_signed(_key(seed, sample, position, "token")) for position in positions]
    return _gumbel(tokens, torch.tensor(keys, device=tokens.device)[:, None])


def noise_bits(
    seed: int, sample: int, position: int, tokens: NDArray[np.integer]
) -> NDArray[np.uint64]:
    """A number for each of these token ids that rises with its noise: the hash it is made from.

    Without the logarithms this takes a twentieth of the time of the noise.
    """
    return _hashed((tokens.astype(np.uint64) + np.uint64(1)) * _GOLDEN, (seed, sample, position))


def _hashed(spread: NDArray[np.uint64], at: tuple[int, int, int]) -> NDArray[np.uint64]:
    value = spread + np.uint64(_key(*at, "token"))
    shifted = np.empty_like(value)
    for bits, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        value ^= np.right_shift(value, np.uint64(bits), out=shifted)
        value *= np.uint64(factor)
    value ^= np.right_shift(value, np.uint64(31), out=shifted)
    return value


@lru_cache(maxsize=4)
def _spread_ids(size: int) -> NDArray[np.uint64]:
    return np.arange(1, size + 1, dtype=np.uint64) * _GOLDEN


def _least_of_noisiest(size: int) -> int:
    return max(0, _MASK - (_NOISIEST << 64) // size)


def _gumbel_below(bits: int) -> float:
    """A little less than the noise that the hash ``bits`` gives."""
    return -math.log(-math.log(((bits >> 11) + 0.5) * 2.0**-53)) - 1e-4


def _shift(value: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64, which torch shifts arithmetically."""
    return (value >> bits).bitwise_and_((1 << (64 - bits)) - 1)


class Noise:
    """The noise of one position, by sample; all of a sample's is kept once it is computed."""

    def __init__(
        self, seed: int, position: int, size: int, device: torch.device | str = "cpu"
    ) -> None:
        self.seed, self.position, self.size, self.device = seed, position, size, device
        self.known: dict[int, Tensor] = {}
        self._noisiest: dict[int, NDArray[np.int64]] = {}

    def noisiest(self, sample: int) -> NDArray[np.int64]:
        """The tokens, about 256, whose ``bits`` are above those of all others; rising."""
        if sample not in self._noisiest:
            least = _least_of_noisiest(self.size)
            known = self.known.get(sample)
            if known is None:
                bits = _hashed(_spread_ids(self.size), (self.seed, sample, self.position))
                found = np.flatnonzero(bits > np.uint64(least))
            else:  # their noise says almost as much, without the hash of all others
                found = np.flatnonzero(known.cpu().numpy() >= _gumbel_below(least))
                found = found[self.bits(sample, found) > np.uint64(least)]
            self._noisiest[sample] = found
        return self._noisiest[sample]

    def bits(self, sample: int, tokens: NDArray[np.int64]) -> NDArray[np.uint64]:
        """``noise_bits`` of these token ids."""
        return noise_bits(self.seed, sample, self.position, tokens)

    def __call__(self, sample: int) -> Tensor:
        """The noise of every token, float32 ``[size]``."""
        if sample not in self.known:
            self.known[sample] = gumbel(self.seed, sample, self.position, self.size, self.device)
        return self.known[sample]

    def at(self, sample: int, tokens: Tensor) -> Tensor:
        """The noise of these token ids alone (int64, of any shape)."""
        if sample in self.known:
            return self.known[sample][tokens]
        return gumbel_at(self.seed, sample, self.position, tokens)


def draw(scores: Tensor, noise: Callable[[int], Tensor], sample: int) -> int:
    """The token of the largest ``scores + noise(sample)``, of one row of scores ``[vocab]``.

    Where few tokens are left, and ``noise`` is a ``Noise``, it is computed for them alone.
    """
    if isinstance(noise, Noise) and sample not in noise.known:
        _, few = survivors(scores[None], len(scores) // _FEW, [True])
        if len(few):
            return int(few[(scores[few] + noise.at(sample, few)).argmax()])
    return _draw_from_all(scores, noise, sample)


def _draw_from_all(scores: Tensor, noise: Callable[[int], Tensor], sample: int) -> int:
    return int(argmax((scores + noise(sample))[None]))


def draw_each(scores: Tensor, noises: Sequence[Noise], samples: Sequence[int]) -> list[int]:
    """What ``draw`` finds in each row ``[n, vocab]``, at once for all rows with few tokens left."""
    most = scores.shape[-1] // _FEW
    able = [sample not in noise.known for noise, sample in zip(noises, samples, strict=True)]
    rows, tokens = survivors(scores, most, able)
    keys = [
        _signed(_key(noise.seed, sample, noise.position, "token"))
        for noise, sample in zip(noises, samples, strict=True)
    ]
    noisy = scores[rows, tokens] + _gumbel(tokens, torch.tensor(keys, device=scores.device)[rows])
    best = noisy.new_full([len(scores)], -torch.inf).scatter_reduce_(0, rows, noisy, "amax")
    # The first of equal ones. NaN gives ``none``, and a row that ``survivors`` left out one more.
    none = scores.shape[-1]
    first = torch.where(noisy == best[rows], tokens, none)
    found = first.new_full([len(scores)], none + 1).scatter_reduce_(0, rows, first, "amin")
    drawn = []
    for token, row, noise, sample in zip(found.tolist(), scores, noises, samples, strict=True):
        if token < none:
            drawn.append(token)
        else:
            drawn.append((draw if token == none else _draw_from_all)(row, noise, sample))
    return drawn


def keyed(key: int, tokens: Sequence[int]) -> int:
    """A seed that follows from a key and these tokens in order."""
    found = _mix(key)
    for token in tokens:
        found = _mix(found + _mix(token + 0x9E3779B97F4A7C15))
    return found


def uniform(seed: int, sample: int, position: int, stream: str) -> float:
    """One number in (0, 1) from the stream of this name, unrelated to the tokens' noise."""
    return ((_key(seed, sample, position, stream) >> 11) + 0.5) * 2.0**-53
