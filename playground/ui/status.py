"""The status line: a sentence about the run on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from playground.charts.text import count, milliseconds
from playground.colours import LETTERS
from playground.trace import Comparison

if TYPE_CHECKING:
    from playground.engine import Run
    from playground.ui.growing import Growing


def status(kind: str, text: str) -> dict[str, Any]:
    """The element's value: ``kind`` is running, done, bad, recorded, or empty."""
    return {"kind": kind, "text": text}


def progress(run: Run, tokens: int) -> dict[str, Any]:
    """The line of a run that goes on, whose longest text has so many ``tokens``."""
    if run.state == "queued" and (run.queue_position or not run.notice):
        return status("running", f"Waiting for free rows, place {run.queue_position} in line …")
    if run.notice and not tokens:
        return status("running", run.notice)
    told = f"Writing, {tokens} of {run.request.max_new_tokens} tokens …"
    return status("running", f"{told} {run.notice}".strip())


def ended(run: Run, comparison: Comparison) -> dict[str, Any]:
    """The line of a run that has just ended."""
    if run.error:
        return status("bad", run.error)
    stopped = (lane.error for lane in run.views if lane.finish_reason == "cancelled")
    told = next(stopped, None)
    if told:  # a page that finds another server then has it write this again
        return status("bad", f"{told} What there is stays.") | {"stopped": True}
    return status("done", f"{outcome(comparison)} {run.notice}".strip())


def fork_ended(growing: Growing, column: int) -> dict[str, Any]:
    """The line of a text that went on with another one and has just ended."""
    run, from_lane = growing.run, LETTERS[growing.lane]
    if run.error:
        return status("bad", f"{run.error} The text it began from is as it was.")
    comparison = run.comparison()
    written, times = count(len(comparison.lanes[0].token_ids), "token"), comparison.timings
    new = count(times.prefill_tokens - times.reused_tokens, "token")
    told = (
        f"Column {LETTERS[column]} goes on from token {growing.step + 1} of column {from_lane}: "
        f"{written} in {milliseconds(times.total)}; of what stood before, {new} had to be read."
    )
    if comparison.lanes[0].finish_reason == "cancelled":
        told += " It was stopped before its end."
    return status("done", told)


def outcome(comparison: Comparison) -> str:
    """The tokens and times of an ended run in a sentence, or in two where it was stopped."""
    total = sum(lane.metrics.tokens for lane in comparison.lanes)
    times = comparison.timings
    how = "each column alone" if times.alone else "once for all columns"
    read = f"the prompt was read in {times.prefill * 1e3:.0f} ms, {how}"
    if times.prompt_known:
        read = f"the prompt was known, and copied in {times.prefill * 1e3:.0f} ms"
    told = f"{total} tokens in {times.total:.1f} s; {read}."
    if any(lane.finish_reason == "cancelled" for lane in comparison.lanes):
        told += " It was stopped before its end; press Run to write it again."
    return told
