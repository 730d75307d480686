"""The facts about a model."""

from __future__ import annotations

from pydantic import Field

from playground.trace.steps import Record


class ModelFacts(Record):
    """The facts about a model that the page's header shows. ``memory`` is in bytes."""

    id: str
    title: str
    architecture: str
    parameters: int
    vocab_size: int
    context_length: int
    device: str
    dtype: str
    memory: int
    cache_bytes_per_token: int | None = Field(
        None, description="Bytes of keys and values that one token of one row holds, in all layers."
    )
    quantised: str | None = Field(
        None, description="The method by which its weights are stored, where they are quantised."
    )
    adapter: str | None = Field(
        None, description="The adapter (LoRA) that was added to its weights, if one was."
    )
    has_chat_template: bool = False
    eos_token_ids: list[int] = Field(
        default_factory=list, description="Tokens that end a text, as far as they are known."
    )
    batch_invariant: bool = Field(
        True, description="Whether a text for a seed is the same whoever else is in the batch."
    )
    one_by_one: str | None = Field(
        None,
        description="Why each row has a cache of its own, which is slower; null where rows share "
        "slots.",
    )
    one_by_one_times: float | None = Field(
        None, description="How many times as long a step of six rows then takes as one of one row."
    )
    served_by: str | None = Field(
        None,
        description="Another server that generates the text, and what it returns; null where an "
        "engine of the playground does. Parameters and memory are then 0, and token ids its own.",
    )
