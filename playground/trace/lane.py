"""The result of one recipe: its step records, the texts they lead to, and their metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import (
    Field,
    FieldSerializationInfo,
    SerializerFunctionWrapHandler,
    computed_field,
    field_serializer,
    model_validator,
)

from playground.trace import compact
from playground.trace.beams import BeamRecord
from playground.trace.chain import Chain
from playground.trace.model_facts import ModelFacts
from playground.trace.prompt_token import PromptToken
from playground.trace.steps import FinishReason, Record, StepRecord

SAVED = "saved"  # the context in which a trace is serialised to be saved
_FOLLOWS = {"recipe", "stages", "search"}  # fields of a trace's JSON that follow from its chain


class Fork(Record):
    """Where a text was continued: after its first ``step`` tokens and then ``tokens``."""

    run: str = Field(description="The id of the run of that text.")
    lane: int
    sample: int = Field(0, description="Which of the lane's texts, from 0.")
    step: int = Field(description="How many of its tokens were kept.")
    tokens: list[int] = Field(
        default_factory=list,
        description="What a person put after them; empty where the recipe chose there again.",
    )


class Output(Record):
    """One text of a lane: its step records' indices, and why it ended (None while it runs)."""

    text: str
    token_ids: list[int]
    nodes: list[int]
    sample: int = Field(0, description="The number of the noise that it was drawn with, from 0.")
    score: float = 0.0
    finish_reason: FinishReason | None = None
    found: dict[str, float] = Field(
        default_factory=dict, description="What the recipe's processors measure in it, by name."
    )


class Trace(Record):
    """A lane's step records, a tree, and the texts in it, the one that a person is shown first.

    A sample has one path; pruned beams are in the tree as well.
    """

    chain: Chain = Field(description="The steps of the recipe, and how its search chooses.")
    vocab_size: int
    steps: list[StepRecord] = Field(default_factory=list)
    outputs: list[Output] = Field(default_factory=list)
    copies: int = Field(
        1,
        description="How often each row's keys and values are kept, for a search that looks ahead.",
    )
    second_prompts: list[int] = Field(
        default_factory=list, description="Tokens of the prompts that each row follows besides."
    )
    beams: BeamRecord | None = Field(
        None,
        description="What the search weighed, where it keeps several texts at once and chooses "
        "among them.",
    )
    offer: StepRecord | None = Field(
        None, description="What a person may choose from next; its token is only the likeliest."
    )

    @computed_field(description="The recipe in its one-line form.")  # type: ignore[prop-decorator]
    @property
    def recipe(self) -> str:
        return self.chain.written

    @computed_field(  # type: ignore[prop-decorator]
        description="The processors that ran as written, in order."
    )
    @property
    def stages(self) -> list[str]:
        return [step.written for step in self.chain.processors]

    @computed_field(description="The search as written.")  # type: ignore[prop-decorator]
    @property
    def search(self) -> str:
        return self.chain.search.written

    @field_serializer("steps", mode="wrap", when_used="json")
    def _as_saved(  # type: ignore[no-untyped-def]  # see ``Terse``
        self,
        steps: list[StepRecord],
        whole: SerializerFunctionWrapHandler,
        info: FieldSerializationInfo,
    ):
        written = whole(steps)
        saved = info.context == SAVED and not (info.include or info.exclude)
        return compact.compacted(written) if saved and self.beams is not None else written

    @model_validator(mode="before")
    @classmethod
    def _without_what_follows(cls, given: Any) -> Any:
        """Of what was saved, ``recipe``, ``stages`` and ``search`` follow from the chain.

        Texts that were saved without the number of their noise were in its order. Of a search over
        several rows the records were saved as ``compact`` has them.
        """
        if not isinstance(given, Mapping):
            return given
        kept = {name: value for name, value in given.items() if name not in _FOLLOWS}
        if kept.get("beams") is not None:
            kept["steps"] = compact.restored(kept.get("steps"))
        outputs = kept.get("outputs")
        if isinstance(outputs, list) and all(isinstance(output, dict) for output in outputs):
            kept["outputs"] = [{"sample": at, **output} for at, output in enumerate(outputs)]
        return kept

    def path(self, output: int = 0) -> list[StepRecord]:
        """The step records of one text, in order."""
        if output >= len(self.outputs):
            return []
        return [self.steps[node] for node in self.outputs[output].nodes]

    def removed_by(self, step: StepRecord, candidate: int) -> int | None:
        """Index of the stage that removed this candidate of a step; None where it survived.

        A probability too small for a float is 0 as well, but a stage that leaves as many tokens as
        there were removed none.
        """
        stage = step.candidates.removed_by(candidate)
        if stage is None:
            return None
        before = step.stages[stage - 1].survivors if stage else self.vocab_size
        return stage if step.stages[stage].survivors < before else None


class LaneTimings(Record):
    """Seconds from the run's submission, unless described otherwise; None until then."""

    first_token: float | None = None
    decode: float | None = Field(None, description="From the first token to the last.")
    per_token: float | None = Field(None, description="Mean between two tokens.")
    tokens_per_second: float | None = Field(None, description="Decode only.")


class Metrics(Record):
    """Metrics of the shown text; None where it is too short for one."""

    tokens: int
    perplexity: float | None = Field(None, description="Of the text under the raw model.")
    mean_entropy: float | None = Field(None, description="Of the raw distributions, in nats.")
    mean_rank: float | None = Field(None, description="In the raw distributions, from 1.")
    distinct_2: float | None = Field(
        None, description="Distinct pairs of neighbouring tokens over all pairs."
    )
    repeated_4: float | None = Field(
        None, description="Share of its four-token runs that occurred before."
    )
    acceptance: float | None = Field(
        None, description="Share of drafted tokens that were accepted, of those that were judged."
    )
    found: dict[str, float] = Field(
        default_factory=dict,
        description="What the recipe's processors measure in the text, by name.",
    )
    timings: LaneTimings = Field(default_factory=LaneTimings)


class LaneResult(Record):
    """The result of one recipe."""

    recipe: str
    text: str
    token_ids: list[int]
    finish_reason: FinishReason | None
    error: str | None = Field(None, description="Why this lane alone failed.")
    name: str = Field("", description="The recipe's name, where a person gave it one.")
    forked: Fork | None = Field(None, description="The text that this one continues, if any.")
    model: ModelFacts | None = Field(
        None, description="The model that wrote it, where that is not the one of the comparison."
    )
    prompt_tokens: list[PromptToken] | None = Field(
        None, description="The prompt's tokens for that model, where they are others."
    )
    trace: Trace
    metrics: Metrics
