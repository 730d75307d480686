"""Tokens, probabilities and counts in the form that the sentences about a trace have."""

from __future__ import annotations

from playground.trace import StepRecord

_SHOWN = {"\n": "⏎", "\t": "⇥"}


def quote(step: StepRecord) -> str:
    """The chosen token between quotes, with line breaks and tabs made visible."""
    text, known = step.text, step.candidates
    if not text and step.token in known.ids:  # mid-character: the recorder's own name for it
        text = known.texts[known.ids.index(step.token)]
    return shown(text, step.token)


def shown(text: str, token: int) -> str:
    """A token's text between quotes; its number where it has none."""
    text = "".join(_SHOWN.get(character, character) for character in text)
    return f"“{text}”" if text else f"token {token}"


def percent(probability: float, figures: int = 2) -> str:
    """A probability in two figures, or more; the space before the sign does not break."""
    value = 100 * probability
    whole = probability >= 0.0995 and figures == 2
    return f"{f'{value:.0f}' if whole else f'{value:.{figures}g}'}\N{NO-BREAK SPACE}%"


def percents(one: float, other: float | None) -> tuple[str, str]:
    """Two probabilities in as few figures as distinguish them; empty for None."""
    if other is None:
        return percent(one), ""
    for figures in range(2, 7):
        written = percent(one, figures), percent(other, figures)
        if written[0] != written[1] or one == other:
            break
    return written


def count(number: int, noun: str) -> str:
    """A number with its noun: ``1 token``, ``49,152 tokens``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
