"""What a text would have been under other settings."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from playground.trace.steps import Record


class WhatIf(Record):
    """The first token of a text that another recipe would have chosen otherwise.

    ``index`` and ``token`` are null where every token would stay, and where the trace does not
    determine it; then ``unknown`` is why, and the first ``stays`` tokens are certain. Where only
    the token is not known, ``index`` is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str
    index: int | None = Field(None, description="Position among the text's tokens, from 0.")
    token: int | None = Field(None, description="Id of what it would be instead.")
    text: str | None = Field(None, description="That token by itself, where it was recorded.")
    unknown: str | None = Field(
        None, description="What the trace does not determine, in a sentence."
    )
    stays: int = Field(0, description="How many of the text's tokens surely stay.")


class SettingRange(Record):
    """Values of one setting at which a text or token surely stays, all other settings unchanged.

    ``low`` to ``high`` contain the value that it had; beyond them it is not certain, until
    ``below`` and ``above``, at which it surely changes (null where the setting's range ends first).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    high: float
    below: float | None = None
    above: float | None = None


class SettingSlack(Record):
    """How far one setting of a recipe may be moved before its text changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    setting: str = Field(description="`strategy.parameter`, with `#2` behind a second such step.")
    step: int = Field(description="Index of its step in the recipe, switched off ones included.")
    value: float = Field(description="What it was.")
    text: SettingRange | None = Field(
        description="The range at which the whole text stays; null where it is not known."
    )
    tokens: list[SettingRange] = Field(
        default_factory=list,
        description="For each token the range at which it stays, given those before it. To the "
        "nearest value that was tried, never beyond what is certain.",
    )
    unknown: str | None = Field(None, description="Why no range is known, in a sentence.")
