"""Tokens, probabilities and counts as the sentences about a trace have them."""

from __future__ import annotations

from playground.trace import StepRecord

_SHOWN = {"\n": "⏎", "\t": "⇥"}


def quote(step: StepRecord) -> str:
    """The chosen token between quotes, with what has no shape of its own made visible."""
    text, known = step.text, step.candidates
    if not text and step.token in known.ids:  # mid-character: the recorder's own name for it
        text = known.texts[known.ids.index(step.token)]
    text = "".join(_SHOWN.get(character, character) for character in text)
    return f"“{text}”" if text else f"token {step.token}"


def percent(probability: float) -> str:
    """A probability in two figures; the space before the sign does not break."""
    value = 100 * probability
    figures = f"{value:.0f}" if probability >= 0.0995 else f"{value:.2g}"
    return f"{figures}\N{NO-BREAK SPACE}%"


def count(number: int, noun: str) -> str:
    """A number with its noun: ``1 token``, ``49,152 tokens``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
