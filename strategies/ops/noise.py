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

from .topk import GroupMaxima, argmax

_MASK = (1 << 64) - 1
_FEW = 4  # of at most one token in so many, noise is computed for every one that is left
_NOISIEST = 256  # tokens of a vocabulary, or about so many
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_HAIR = 1e-4  # more than what rounding does to a token's noise


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
    keys: NDArray[np.uint64] | np.uint64, tokens: NDArray[np.integer]
) -> NDArray[np.uint64]:
    """A number for each of these token ids that rises with its noise: the hash it is made from.

    ``keys``, of ``Noise.key``, are those of the rows that the tokens are of, and broadcast to them.
    Without the logarithms this takes a twentieth of the time of the noise.
    """
    return _hashed((tokens.astype(np.uint64) + np.uint64(1)) * _GOLDEN + keys)


def _hashed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser, in place."""
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


def _gumbel_near(bits: int) -> float:
    """The noise that the hash ``bits`` gives, but for its last digits."""
    return -math.log(-math.log(((bits >> 11) + 0.5) * 2.0**-53))


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
        self._keys: dict[int, int] = {}
        self._noisiest: dict[int, tuple[NDArray[np.int64], NDArray[np.uint64]]] = {}

    def key(self, sample: int) -> int:
        """What a sample's noise is hashed from, an unsigned number of 64 bits."""
        if sample not in self._keys:
            self._keys[sample] = _key(self.seed, sample, self.position, "token")
        return self._keys[sample]

    def noisiest(self, sample: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """The tokens, about 256, with more noise than all others, and their ``noise_bits``;
        falling.
        """
        if sample not in self._noisiest:
            least, key = _least_of_noisiest(self.size), np.uint64(self.key(sample))
            known = self.known.get(sample)
            if known is None:
                every = _hashed(_spread_ids(self.size) + key)
                tokens = np.flatnonzero(every > np.uint64(least))
                bits = every[tokens]
            else:  # their noise says almost as much, without the hash of all others
                tokens = np.flatnonzero(known.cpu().numpy() >= _gumbel_near(least) - _HAIR)
                bits = noise_bits(key, tokens)
                tokens, bits = tokens[bits > np.uint64(least)], bits[bits > np.uint64(least)]
            falling = bits.argsort()[::-1]
            self._noisiest[sample] = tokens[falling], bits[falling]
        return self._noisiest[sample]

    @property
    def most_of_others(self) -> float:
        """Noise that no token has which is not among the ``noisiest``."""
        return _gumbel_near(_least_of_noisiest(self.size)) + _HAIR

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


def keys_of(noises: Sequence[Noise], samples: Sequence[int]) -> NDArray[np.uint64]:
    """The ``key`` ``[n]`` of each row, whose noise is that of its sample."""
    each = zip(noises, samples, strict=True)
    return np.array([noise.key(sample) for noise, sample in each], np.uint64)


def noisiest(
    noises: Sequence[Noise], samples: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """The noisiest tokens of each row and their bits, falling, ``[n, any]``.

    Where a row has fewer than others, its last is repeated.
    """
    pairs = list(zip(noises, samples, strict=True))
    distinct = {pair: row for row, pair in enumerate(dict.fromkeys(pairs))}  # many rows share one
    each = [noise.noisiest(sample) for noise, sample in distinct]
    most = max(len(tokens) for tokens, _ in each)
    tokens, bits = np.empty((len(each), most), np.int64), np.empty((len(each), most), np.uint64)
    for row, (own, own_bits) in enumerate(each):
        tokens[row, : len(own)], tokens[row, len(own) :] = own, own[-1:]
        bits[row, : len(own)], bits[row, len(own) :] = own_bits, own_bits[-1:]
    if len(distinct) == len(pairs):
        return tokens, bits
    rows = [distinct[pair] for pair in pairs]
    return tokens[rows], bits[rows]


def draw(scores: Tensor, noise: Callable[[int], Tensor], sample: int) -> int:
    """The token of the largest ``scores + noise(sample)``, of one row of scores ``[vocab]``.

    Where ``noise`` is a ``Noise``, it is computed for the tokens alone that may be the one.
    """
    if isinstance(noise, Noise):
        return draw_each(scores[None], [noise], [sample])[0]
    return _draw_from_all(scores, noise, sample)


def _draw_from_all(scores: Tensor, noise: Callable[[int], Tensor], sample: int) -> int:
    return int(argmax((scores + noise(sample))[None]))


def draw_each(scores: Tensor, noises: Sequence[Noise], samples: Sequence[int]) -> list[int]:
    """What ``draw`` finds in each row ``[n, vocab]``, at once for all rows."""
    most = scores.shape[-1] // _FEW
    able = [sample not in noise.known for noise, sample in zip(noises, samples, strict=True)]
    maxima = GroupMaxima(scores)
    rows, tokens = maxima.survivors(most, able)
    keys = torch.from_numpy(keys_of(noises, samples).view(np.int64)).to(scores.device)
    noisy = scores[rows, tokens] + _gumbel(tokens, keys[rows])
    best = noisy.new_full([len(scores)], -torch.inf).scatter_reduce_(0, rows, noisy, "amax")
    # The first of equal ones. NaN gives ``none``, and a row that ``survivors`` left out one more.
    none = scores.shape[-1]
    first = torch.where(noisy == best[rows], tokens, none)
    found = first.new_full([len(scores)], none + 1).scatter_reduce_(0, rows, first, "amin")
    drawn: list[int] = found.tolist()
    left = [row for row, token in enumerate(drawn) if token > none]
    if len(left) > 1 and scores.device.type == "cpu":  # for one, all noise takes no longer
        if len(left) < len(drawn):
            maxima = GroupMaxima(scores[left])
        own = [noises[row] for row in left], [samples[row] for row in left]
        others = _draw_among_many(maxima, *own)
        for row, token in zip(left, others, strict=True):
            drawn[row] = token
    for row in (row for row, token in enumerate(drawn) if token >= none):
        drawn[row] = _draw_from_all(scores[row], noises[row], samples[row])
    return drawn


def _draw_among_many(
    maxima: GroupMaxima, noises: Sequence[Noise], samples: Sequence[int]
) -> list[int]:
    """What ``draw_each`` finds in rows of which much is left; vocab where a row has no numbers.

    A token that is not among the noisiest wins only with a score not far below the largest sum
    that is known already: that of one of the noisiest, or of a token near the likeliest.
    """
    tokens, bits = noisiest(noises, samples)
    keys = torch.from_numpy(keys_of(noises, samples).view(np.int64))
    scores = maxima.scores
    top, likely = maxima.best()
    loud = torch.from_numpy(tokens)
    sums = scores.gather(-1, loud) + _gumbel_of(torch.from_numpy(bits.view(np.int64)))
    largest = sums.amax(-1, keepdim=True)
    near = (scores.gather(-1, likely) + _gumbel(likely, keys[:, None])).amax(-1, keepdim=True)
    known = torch.maximum(largest, near)
    rounding = 1e-6 * known.abs()  # more than that of a sum
    rows, others = map(
        torch.from_numpy, maxima.at_least(known - noises[0].most_of_others - rounding)
    )
    noisy = scores[rows, others] + _gumbel(others, keys[rows])
    best = largest[:, 0].clone().scatter_reduce_(0, rows, noisy, "amax")
    none = scores.shape[-1]
    found = torch.where(sums == best[:, None], loud, none).amin(-1)  # the first of equal ones
    found.scatter_reduce_(0, rows, torch.where(noisy == best[rows], others, none), "amin")
    drawn: list[int] = torch.where(top.isfinite(), found, none).tolist()
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
