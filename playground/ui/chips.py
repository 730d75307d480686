"""The value of the element ``chips``: a prompt's tokens, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from playground.trace import PromptToken

MOST_CHIPS = 400
NAMES = 3  # of control tokens in a sentence


def control_note(names: Sequence[str], split: bool) -> str:
    """Whether names of control tokens in a prompt are these tokens; empty where there are none."""
    if not names:
        return ""
    told = ", ".join(f"“{name}”" for name in names[:NAMES])
    if len(names) > NAMES:
        told += f" and {len(names) - NAMES} more"
    one = len(names) == 1
    if split:
        return f"{told} in the prompt {'is' if one else 'are'} read as plain text."
    return (
        f"{told} in the prompt {'is' if one else 'are'} read as "
        f"{'a control token' if one else 'control tokens'}, not as text."
    )


def chips_of(
    found: Sequence[PromptToken], context: int | None = None, note: str = ""
) -> dict[str, Any]:
    """The chips' value: tokens with ids, their number, and the length of the model's context.

    Control tokens are marked; the tokens of a scored prompt have their log-probabilities.
    """
    rest = len(found) - MOST_CHIPS
    of = f" of {context:,}" if context else ""
    return {
        "tokens": [
            [token.alone, token.id, token.control, token.logprob] for token in found[:MOST_CHIPS]
        ],
        "note": note,
        "more": f"… and {rest:,} more" if rest > 0 else "",
        "count": f"{len(found):,}{of} tokens",
    }
