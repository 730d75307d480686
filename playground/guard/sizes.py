"""The greatest length of a request that keeps to the host's other limits."""

from __future__ import annotations

from playground.settings import Settings
from strategies.notation import LONGEST


def request_bytes(settings: Settings, prompts: int = 1) -> int:
    """Bytes that no request for so many prompts exceeds; JSON takes at most 12 for a character."""
    characters = (
        prompts * settings.max_prompt_chars
        + settings.max_columns * LONGEST
        + settings.max_stop_strings * settings.max_stop_chars
    )
    return 12 * characters + 4096
