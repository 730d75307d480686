"""A comparison with a chosen text of each lane first, in place of the search's best."""

from __future__ import annotations

from collections.abc import Sequence

from playground.metrics import measure
from playground.trace import Comparison, LaneResult


def showing(comparison: Comparison, texts: Sequence[int]) -> Comparison:
    """The comparison with text ``texts[n]`` of lane ``n`` first, and the lane's metrics of it.

    Charts and metrics are those of a lane's first text. A lane without such a text, or for which no
    number is given, stays as it is.
    """
    wanted = [*texts, *[0] * len(comparison.lanes)]
    lanes = [first(lane, wanted[number]) for number, lane in enumerate(comparison.lanes)]
    return comparison.model_copy(update={"lanes": lanes})


def first(lane: LaneResult, text: int) -> LaneResult:
    """The lane with this text first, and its metrics of it; unchanged where it has no such text."""
    outputs = list(lane.trace.outputs)
    if not 0 < text < len(outputs):
        return lane
    shown = outputs.pop(text)
    trace = lane.trace.model_copy(update={"outputs": [shown, *outputs]})
    return lane.model_copy(
        update={
            "text": shown.text,
            "token_ids": shown.token_ids,
            "finish_reason": shown.finish_reason,
            "trace": trace,
            "metrics": measure(trace),
        }
    )
