"""The copy of the built-in model that a Space has from its build; see README's first lines."""

from __future__ import annotations

from playground.models import hub
from playground.settings import BUILT_IN, Settings

PRELOADED = "HuggingFaceTB/SmolLM2-135M-Instruct"


def preloaded(settings: Settings) -> Settings:
    """On a Space whose build fetched that model, the settings with it in place of the built-in one.

    A Space's disk is emptied at each start, so the built-in model would be fetched and converted
    again, while this one, with the same published weights, is there. Elsewhere the settings are
    returned unchanged.
    """
    if not settings.on_space or settings.model != BUILT_IN:
        return settings
    if hub.cached(PRELOADED, settings) is None:
        return settings
    return settings.changed(model=PRELOADED)
