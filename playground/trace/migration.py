"""What was saved in an older form, brought to today's. Frozen: it tells what older forms meant."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from playground.trace.chain import label

VERSION = 2  # of the form that is written: 1 had the recipe's steps as texts, and no number

_STEP = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^|"'])+""", re.DOTALL)
_CHOOSES = {  # of the searches there were
    "greedy": "likeliest",
    "sample": "draw",
    "speculative": "draw",
    "beam": "text",
    "diverse_beam": "text",
    "beam_sample": "drawn text",
    "stochastic_beam": "drawn text",
    "contrastive": "likeness",
    "manual": "person",
}


def migrate(saved: Any) -> Any:
    """A saved comparison in today's form; today's, and what is none at all, stay as they are.

    Raises ``ValueError`` where a later version wrote it. What was given is not changed.
    """
    if not isinstance(saved, Mapping):
        return saved
    version = saved.get("version", 1)
    if isinstance(version, int) and version > VERSION:
        raise ValueError(
            f"it was saved in form {version} by a later version of the playground; this one reads "
            f"up to {VERSION}"
        )
    if version != 1 or not isinstance(saved.get("lanes"), list):
        return saved
    return {**saved, "version": VERSION, "lanes": [_lane(lane) for lane in saved["lanes"]]}


def _lane(lane: Any) -> Any:
    trace = lane.get("trace") if isinstance(lane, Mapping) else None
    if not isinstance(trace, Mapping) or not isinstance(trace.get("recipe"), str):
        return lane
    chain = [_step(written.strip()) for written in _STEP.findall(trace["recipe"])]
    chooses = _CHOOSES.get(chain[-1]["strategy"]) if chain else None
    return {**lane, "trace": {**trace, "chain": {"steps": chain, "chooses": chooses}}}


def _step(written: str) -> dict[str, Any]:
    enabled = not written.startswith("~")
    return {
        "strategy": written.removeprefix("~").partition("(")[0].strip(),
        "params": _named(written.removeprefix("~")),
        "written": written,
        "label": label(written),
        "enabled": enabled,
    }


def _named(written: str) -> dict[str, Any]:
    """The settings that stand with their names."""
    try:
        call = ast.parse(written, mode="eval").body
        keywords = call.keywords if isinstance(call, ast.Call) else []
        return {one.arg: ast.literal_eval(one.value) for one in keywords if one.arg}
    except (SyntaxError, ValueError):  # as a step never was written
        return {}
