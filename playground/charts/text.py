"""Model text and numbers, formatted for charts."""

from __future__ import annotations

import unicodedata

from playground.trace import StepRecord

_SHOWN = {"\n": "⏎", "\r": "␍", "\t": "⇥", "\u00a0": "⍽"}
_RIGHT_TO_LEFT = {"R", "AL", "AN"}


def visible(text: str, limit: int | None = None, space: str = "·") -> str:
    """The text with spaces, line breaks and invisible characters shown, for chips and charts.

    ``limit`` is the longest result; a longer one ends in an ellipsis. An empty text is part of a
    character that a later token completes, shown as ``∅``.
    """
    shown = "".join(space if c == " " else _visible(c) for c in text) or "∅"
    if limit is not None and len(shown) > limit:
        shown = shown[: limit - 1] + "…"
    return shown


def _visible(character: str) -> str:
    if character in _SHOWN:
        return _SHOWN[character]
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs"):
        return f"⟨{ord(character):x}⟩"
    return character


def literal(text: str) -> str:
    """The text escaped for Plotly, which interprets tags, entities and TeX.

    Right-to-left text is isolated, so that it does not reverse the label around it.
    """
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("$", "&#36;")):
        text = text.replace(character, entity)
    if any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in text):
        return f"\u2068{text}\u2069"
    return text


def token(text: str, limit: int | None = None) -> str:
    """A token's text for a Plotly label: visible, shortened, then literal."""
    return literal(visible(text, limit))


def quoted(text: str, limit: int = 40) -> str:
    """A token's text in a sentence, ``“ worm”``; line breaks and invisible characters are named."""
    return f"“{visible(text, limit, space=' ')}”"


def piece(step: StepRecord) -> str:
    """The chosen token's own text, of which the readable text may gain only a part, or nothing."""
    return step.piece


def percent(probability: float) -> str:
    """A probability in percent, without the sign: one decimal, below 0.1 one significant digit."""
    value = 100.0 * probability
    if value >= 99.95:
        return "100"
    if value >= 0.095:
        return f"{value:.1f}"
    if value >= 0.00095:
        return f"{float(f'{value:.1g}'):.3f}".rstrip("0")
    return "<0.001" if value > 0 else "0"


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds with their unit: 0.42 ms, 4.2 ms, 42 ms, 4.20 s."""
    value = 1e3 * seconds
    if value >= 2000:
        return f"{seconds:.2f} s"
    return (
        f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms" if value >= 1 else f"{value:.2f} ms"
    )


def scale(most: float) -> tuple[float, str]:
    """The bytes of the unit in which ``most`` bytes are written, and the unit's name."""
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if most >= size:
            return size, unit
    return 1.0, "B"


def size(count: float) -> str:
    """Bytes with their unit, three digits: 23.0 kB, 1.36 MB, 486 MB."""
    unit, name = scale(count)
    value = count / unit
    return f"{value:.{0 if value >= 100 or unit == 1 else 1 if value >= 10 else 2}f} {name}"


def count(number: int, noun: str) -> str:
    """A number with its noun: ``1 token``, ``49,152 tokens``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
