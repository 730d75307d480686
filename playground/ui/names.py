"""What a page shows is named: a run, its lanes in another order, lanes of other runs among them.

``RUN`` is all lanes of a run as they are. ``RUN:0.0.2`` is its lanes 0, 0 and 2, and in
``RUN:0.1@OTHER.2`` the lane between them is lane 1 of another run, of the same prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from playground.trace import Comparison, LaneResult

Resolve = Callable[[str], Comparison | None]

MOST_LANES = 64
LONGEST = 160  # characters of a name


def lanes_of(name: str, lanes: Sequence[int]) -> str:
    """The name of what is shown, reduced to these of its lanes, in this order."""
    known, parts = _read(name)
    return f"{known}:{'.'.join(parts[n] if parts else str(n) for n in lanes)}"


def with_lane(name: str, lanes: int, at: int, run: str) -> str:
    """The name of what is shown in ``lanes`` lanes, the one ``at`` now the first of ``run``."""
    known, parts = _read(name)
    parts = parts or [str(n) for n in range(lanes)]
    parts[at] = f"0@{run}"
    return f"{known}:{'.'.join(parts)}"


def source(name: str, at: int) -> str:
    """Which lane of which run stands here, whatever else is shown beside it."""
    known, parts = _read(name)
    number, _, other = (parts[at] if parts else str(at)).partition("@")
    return f"{other or known}/{number}"


def moved(name: str, lane: int, to: str, lanes: int) -> int | None:
    """Where a lane of ``name`` stands among the ``lanes`` of ``to``; None where it was removed."""
    known = source(name, lane)
    same = [n for n in range(lanes) if source(to, n) == known]
    return min(same, key=lambda n: abs(n - lane), default=None)


def chosen(name: str, resolve: Resolve) -> Comparison | None:
    """What is shown under this name; None where a part of it is not known.

    Prompt, limits and the timings of the whole are those of the run that stands first.
    """
    known, parts = _read(name)
    comparison = resolve(known)
    if comparison is None or not parts:
        return comparison
    try:
        lanes = [_lane(part, comparison, resolve) for part in parts[:MOST_LANES]]
    except (ValueError, LookupError):
        return None
    return comparison.model_copy(update={"id": name, "lanes": lanes})


def _read(name: str) -> tuple[str, list[str]]:
    known, _, parts = name.partition(":")
    return known, parts.split(".") if parts else []


def _lane(part: str, comparison: Comparison, resolve: Resolve) -> LaneResult:
    number, _, other = part.partition("@")
    run = resolve(other) if other else comparison
    if run is None:
        raise LookupError(other)
    return run.lanes[int(number)]
