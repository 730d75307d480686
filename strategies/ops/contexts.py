"""The tokens before each place of a text, by which watermarks are keyed."""

from __future__ import annotations

from collections.abc import Sequence


def contexts(tokens: Sequence[int], count: int) -> list[tuple[int, ...]]:
    """The last ``count`` tokens before each of ``tokens``, zeros where there are none."""
    padded = (*[0] * count, *tokens)
    return [padded[at : at + count] for at in range(len(tokens))]


def last_context(tokens: Sequence[int], count: int) -> tuple[int, ...]:
    """The last ``count`` tokens, zeros where there are none."""
    return (*[0] * (count - len(tokens)), *tokens[max(0, len(tokens) - count) :])


def first_met(found: Sequence[tuple[int, ...]], within: int | None = None) -> list[int]:
    """The places whose context is none of the ``within`` before it; of all before it by default."""
    last: dict[tuple[int, ...], int] = {}
    fresh = []
    for at, one in enumerate(found):
        if one not in last or (within is not None and at - last[one] > within):
            fresh.append(at)
        last[one] = at
    return fresh


def met_before(tokens: Sequence[int], first: int, count: int) -> bool:
    """Whether the last ``count`` tokens were the last before one of those from ``first`` on."""
    last = last_context(tokens, count)
    end = last[-1]
    for at in range(len(tokens) - 1, first - 1, -1):
        if (tokens[at - 1] if at else 0) == end and last_context(tokens[:at], count) == last:
            return True
    return False
