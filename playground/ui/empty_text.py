"""The sentence in place of a text without visible characters, and a button that may help."""

from __future__ import annotations

from collections.abc import Sequence

from playground import charts
from playground.trace import Comparison, FinishReason, StepRecord

CHAT = "Use the chat template and run again"
REASONS: dict[FinishReason, str] = {
    "stop": "A stop string came first, and it is no part of the text.",
    "length": "It wrote nothing that can be read.",
    "context": "The context is full: nothing could be added to the prompt.",
    "deadline": "The time was up before it wrote anything.",
    "cancelled": "Stopped before it wrote anything.",
}


def sentence(path: Sequence[StepRecord], reason: FinishReason | None) -> str:
    """Why a finished text has no visible characters; empty where it has some, or is not finished.

    Empty also where it ended by an error, which has its own sentence, or waits for a person.
    """
    if any(step.text.strip() for step in path):
        return ""
    if not path and reason == "length":
        return "Nothing was to be written: the prompt was scored."
    if reason != "eos":
        return REASONS.get(reason, "") if reason else ""
    end = path[-1]
    told = f"{charts.piece(end)} {charts.percent(end.probability)}\N{NO-BREAK SPACE}%"
    if charts.percent(end.raw_probability) != charts.percent(end.probability):
        told += f" (of the model {charts.percent(end.raw_probability)}\N{NO-BREAK SPACE}%)"
    return f"{'Ended at once' if len(path) == 1 else 'Ended with nothing to read'}: {told}."


def offer(path: Sequence[StepRecord], reason: FinishReason | None, comparison: Comparison) -> str:
    """The label of a button that may help; empty where there is no such button.

    To a model trained on conversations, a prompt without its chat template may be a complete text.
    """
    able = comparison.model.has_chat_template and not comparison.chat
    return CHAT if able and reason == "eos" and sentence(path, reason) else ""
