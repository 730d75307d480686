"""The copy of the built-in model that a Space has from its build; see README's first lines."""

from __future__ import annotations

from playground.models import hub
from playground.settings import BUILT_IN, Settings

PRELOADED = "HuggingFaceTB/SmolLM2-135M-Instruct"


def preloaded(settings: Settings) -> Settings:
    """On a Space whose build fetched that model, the settings with it in the place of ours.

    A Space's disk is emptied at each start: the built-in model would be fetched and converted anew,
    where this one, the same in its published numbers, is there. Elsewhere the settings as they are.
    """
    if not settings.on_space or settings.model != BUILT_IN:
        return settings
    if hub.cached(PRELOADED, settings) is None:
        return settings
    return settings.changed(model=PRELOADED)
