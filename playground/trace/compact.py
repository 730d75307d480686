"""The step records of a search over several rows as they are saved, in half the bytes.

Such a search records every row that it takes, and most of them are in no text. Of their candidates
the probabilities are packed (``levels``), and a token's text is written once. A stage's summary is
a list. Where a record took the same time as the one before it, which is so for rows of one step,
its ``times`` are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from playground.trace import levels

_SUMMARY = ("survivors", "entropy", "threshold")  # the last is left out where there is none
Written = dict[str, Any]  # a step record as JSON


def compacted(steps: Sequence[Written]) -> list[Written]:
    """The records with ``candidates`` of ``ids``, ``texts`` and ``levels``."""
    texts: dict[int, str] = {}
    times: Any = None
    found = []
    for step in steps:
        known = step["candidates"]
        named = dict(zip(known["ids"], known["texts"], strict=True))
        packed = levels.pack([known["raw"], *known["stages"]])
        kept = {name: value for name, value in step.items() if name != "times"}
        kept["stages"] = [[one[name] for name in _SUMMARY if name in one] for one in step["stages"]]
        if step["times"] != times:
            kept["times"] = times = step["times"]
        same = all(texts.get(id, text) == text for id, text in named.items())
        if packed is not None and same and len(named) == len(known["ids"]):
            new = [text for id, text in named.items() if id not in texts]
            texts |= named
            kept["candidates"] = {"ids": known["ids"], "texts": new, "levels": packed}
        found.append(kept)
    return found


def restored(steps: Any) -> Any:
    """The reverse of ``compacted``; other values are returned as they are.

    Raises ``ValueError`` where a record lacks what those before it do not have either.
    """
    if not isinstance(steps, list) or not all(isinstance(step, Mapping) for step in steps):
        return steps
    return list(_restored(steps))


def _restored(steps: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    texts: dict[Any, Any] = {}
    times: Any = None
    for number, step in enumerate(steps):
        known = step.get("candidates")
        times = step.get("times", times)
        if "times" not in step and times is not None:
            step = {**step, "times": times}
        stages = step.get("stages")
        if isinstance(stages, list) and all(
            isinstance(one, list) and len(one) <= len(_SUMMARY) for one in stages
        ):
            step = {**step, "stages": [dict(zip(_SUMMARY, one, strict=False)) for one in stages]}
        if isinstance(known, Mapping) and "levels" in known:
            try:
                step = {**step, "candidates": _candidates(texts, known)}
            except (TypeError, ValueError, KeyError, StopIteration):
                raise ValueError(f"steps.{number}.candidates: they cannot be read") from None
        yield step


def _candidates(texts: dict[Any, Any], known: Mapping[str, Any]) -> Written:
    """Candidates as they are recorded; ``texts`` has those of the records before, and gets more."""
    ids, own = known["ids"], iter(known["texts"])
    for id in ids:
        if id not in texts:
            texts[id] = next(own)
    if [*own]:
        raise ValueError("there are more texts than new tokens")
    raw, *stages = levels.unpack(known["levels"], len(ids))
    return {"ids": ids, "texts": [texts[id] for id in ids], "raw": raw, "stages": stages}
