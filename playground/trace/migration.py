"""The migration of saved traces to today's format. Frozen: it records what older ones meant."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from playground.trace.chain import label

# Of the format that is written: 1 had the recipe's steps as texts, and no version; 2 had nothing of
# what a search over several rows weighed; 3 had its records as they are, see ``compact``.
VERSION = 4

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
_ENDS = ("eos", "stop", "length", "context")  # of a text, not of the run as a whole


def migrate(saved: Any) -> Any:
    """A saved comparison in today's format; other values, and today's, are returned as they are.

    Raises ``ValueError`` where a later version wrote it. The argument is not changed.
    """
    if not isinstance(saved, Mapping):
        return saved
    version = saved.get("version", 1)
    if isinstance(version, int) and version > VERSION:
        raise ValueError(
            f"it was saved in form {version} by a later version of the playground; this one reads "
            f"up to {VERSION}"
        )
    if version not in (1, 2, 3) or not isinstance(saved.get("lanes"), list):
        return saved
    lanes = saved["lanes"]
    if version == 1:
        lanes = [_with_chain(lane) for lane in lanes]
    if version < 3:
        lanes = [_with_beams(lane) for lane in lanes]
    return {**saved, "version": VERSION, "lanes": lanes}


def _with_chain(lane: Any) -> Any:
    trace = lane.get("trace") if isinstance(lane, Mapping) else None
    if not isinstance(trace, Mapping) or not isinstance(trace.get("recipe"), str):
        return lane
    chain = [_step(written.strip()) for written in _STEP.findall(trace["recipe"])]
    chooses = _CHOOSES.get(chain[-1]["strategy"]) if chain else None
    return {**lane, "trace": {**trace, "chain": {"steps": chain, "chooses": chooses}}}


def _with_beams(lane: Any) -> Any:
    """Add which texts had ended to a search that chose among several; no more was recorded."""
    trace = lane.get("trace") if isinstance(lane, Mapping) else None
    if not isinstance(trace, Mapping) or not isinstance(trace.get("chain"), Mapping):
        return lane
    if trace["chain"].get("chooses") not in ("text", "drawn text"):
        return lane
    ended = [
        {"node": output["nodes"][-1], "reason": output["finish_reason"]}
        for output in trace.get("outputs", [])
        if output.get("nodes") and output.get("finish_reason") in _ENDS
    ]
    beams = {"weighs_by": "", "weights": [], "ended": ended, "passed": []}
    return {**lane, "trace": {**trace, "beams": beams}}


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
    """The settings of a step that are written with their names."""
    try:
        call = ast.parse(written, mode="eval").body
        keywords = call.keywords if isinstance(call, ast.Call) else []
        return {one.arg: ast.literal_eval(one.value) for one in keywords if one.arg}
    except (SyntaxError, ValueError):  # no step was ever written so
        return {}
