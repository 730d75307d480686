"""A token of a prompt."""

from __future__ import annotations

from pydantic import Field

from playground.trace.steps import Record


class PromptToken(Record):
    """One token of a prompt as it is read; the texts of all are the rendered prompt."""

    id: int
    text: str = Field(
        description="What it adds to the text; empty in the middle of a character, and for a token "
        "that the tokenizer puts there itself."
    )
    name: str | None = Field(
        None, description="How it is shown by itself, where that differs: as bytes, or by a name."
    )
    control: bool = Field(False, description="Whether it is a control token, which adds no text.")
    logprob: float | None = Field(
        None,
        description="Log-probability the model gave it after those before it, where the prompt "
        "was scored; null for the first.",
    )

    @property
    def alone(self) -> str:
        """How it is shown by itself."""
        return self.text if self.name is None else self.name
