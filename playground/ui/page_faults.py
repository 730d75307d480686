"""Where the page says what went wrong in an event: beside its cause."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

import gradio as gr

from playground.ui import event_errors
from playground.ui.inspector import Inspector
from playground.ui.restore import Restorer
from playground.ui.status import status

Updates = dict[Any, Any]


def guard(page: gr.Blocks, restorer: Restorer, inspector: Inspector) -> None:
    """Say where each event's cause is; what is in none of these places stands above the columns."""
    parts, line = restorer.parts, restorer.runner.follower.status

    def at_line(words: str) -> Updates:
        return {
            line: status("bad", words),
            restorer.past: {"well": False, "ticket": monotonic()},
            **parts.limits.idle,
        }

    def at_model(words: str) -> Updates:
        return {parts.header.fault: words, parts.header.facts: status("bad", "not loaded")}

    def at_chart(words: str) -> Updates:
        return {inspector.parts.fault: words, inspector.parts.again: gr.update(interactive=True)}

    def at_score(words: str) -> Updates:
        return {inspector.parts.not_scored: words, inspector.parts.scores: None}

    def at_inspector(words: str) -> Updates:
        return {inspector.parts.caption: {"title": "Not shown", "facts": words, "letter": ""}}

    def find(outputs: Sequence[Any]) -> event_errors.Tell | None:
        for part, tell in (
            (line, at_line),
            (inspector.parts.again, at_chart),
            (inspector.parts.scores, at_score),
            (parts.header.facts, at_model),
            (inspector.parts.caption, at_inspector),
        ):
            if part in outputs:
                return tell
        own = [c.fault for c in parts.columns.columns if c.fault in outputs]
        return (lambda words: {own[0]: words}) if len(own) == 1 else None

    event_errors.guard(page, find, line, at_line)
