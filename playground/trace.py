"""What is known of a comparison: pydantic records, to and from JSON, to pandas.

A trace is self-contained: charts, metrics and the page read nothing else, so a saved one is drawn
without a model. Probabilities are of the whole vocabulary, entropies in nats, times in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import pandas as pd

FinishReason = Literal[
    "eos", "stop", "length", "context", "waiting", "deadline", "cancelled", "error"
]


class Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Candidates(Record):
    """The likeliest tokens of one distribution, in falling raw probability, and the chosen one.

    Lists are parallel. ``stages[s][c]`` is candidate ``c``'s probability after stage ``s``, 0 where
    a stage removed it; the last stage is what the search saw. With no stages that is ``raw``.
    """

    ids: list[int]
    texts: list[str]
    raw: list[float]
    stages: list[list[float]]

    @property
    def final(self) -> list[float]:
        return self.stages[-1] if self.stages else self.raw

    def removed_by(self, candidate: int) -> int | None:
        """Index of the stage that removed this candidate, or None where it survived."""
        for s, probabilities in enumerate(self.stages):
            if probabilities[candidate] == 0.0:
                return s
        return None


class StageSummary(Record):
    """A distribution after one stage: how many tokens are left and how uncertain it is."""

    survivors: int
    entropy: float


class Times(Record):
    """Seconds one step took. ``forward`` is shared by ``forward_rows`` rows of all lanes.

    A first token's forward is the prefill of the prompt, which all lanes of the run share.
    """

    forward: float
    processors: float
    search: float
    record: float
    forward_rows: int


class StepRecord(Record):
    """One chosen token, as a node of the lane's tree of choices.

    ``parent`` is the index in ``Trace.steps`` of the token before it, None at the start. ``rank``
    counts from 1. ``candidates`` and ``stages`` are of the distribution the token was chosen from.
    """

    index: int = Field(description="Position among the generated tokens, from 0.")
    parent: int | None
    token: int
    text: str = Field(
        description="What it adds to the readable text; may be empty mid-character, and is for a "
        "special token."
    )
    special: bool = Field(
        False, description="Whether it is a special token, such as the end of a text."
    )
    raw_logprob: float = Field(description="Log-probability the model gave it.")
    logprob: float = Field(description="The same after all stages.")
    raw_rank: int
    rank: int
    raw_entropy: float
    stages: list[StageSummary]
    candidates: Candidates
    score: float = Field(
        0.0, description="What the search keeps, e.g. a beam's summed log-probability."
    )
    draft: int | None = Field(
        None, description="Token drafted for this place, accepted if it is the chosen one."
    )
    draft_text: str = Field("", description="The text of that token.")
    times: Times
    at: float = Field(description="Seconds since the run was submitted.")

    @property
    def piece(self) -> str:
        """The token's own text; what it adds to the readable text may be less, or nothing."""
        return self.candidates.texts[self.candidates.ids.index(self.token)]

    @property
    def raw_probability(self) -> float:
        return math.exp(self.raw_logprob)

    @property
    def probability(self) -> float:
        return math.exp(self.logprob)

    @property
    def entropy(self) -> float:
        return self.stages[-1].entropy if self.stages else self.raw_entropy


class Output(Record):
    """One text a lane holds: its nodes in order, and why it ended (None while it runs)."""

    text: str
    token_ids: list[int]
    nodes: list[int]
    score: float = 0.0
    finish_reason: FinishReason | None = None
    found: dict[str, float] = Field(
        default_factory=dict, description="What the recipe's processors measure in it, by name."
    )


class Trace(Record):
    """A lane's step records. ``outputs`` are its texts, the one a person is shown first."""

    recipe: str
    stages: list[str] = Field(description="The processors as written, in order.")
    search: str = Field(description="The search as written.")
    vocab_size: int
    steps: list[StepRecord] = Field(default_factory=list)
    outputs: list[Output] = Field(default_factory=list)
    copies: int = Field(
        1, description="Times each row's keys and values are held, for a search that looks ahead."
    )
    second_prompts: list[int] = Field(
        default_factory=list, description="Tokens of the prompts that each row follows besides."
    )
    offer: StepRecord | None = Field(
        None, description="What a person may choose from next; its token is only the likeliest."
    )

    def path(self, output: int = 0) -> list[StepRecord]:
        """The step records of one text, in order."""
        if output >= len(self.outputs):
            return []
        return [self.steps[node] for node in self.outputs[output].nodes]


class LaneTimings(Record):
    """Seconds, from the run's submission unless said otherwise; None until it happened."""

    first_token: float | None = None
    decode: float | None = Field(None, description="From the first token to the last.")
    per_token: float | None = Field(None, description="Mean between two tokens.")
    tokens_per_second: float | None = Field(None, description="Decode only.")


class Metrics(Record):
    """Numbers of the shown text; None where it is too short to have one."""

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
    """What one recipe wrote."""

    recipe: str
    text: str
    token_ids: list[int]
    finish_reason: FinishReason | None
    error: str | None = None  # what went wrong in this lane alone
    name: str = Field("", description="What a person called the recipe; empty for nothing.")
    trace: Trace
    metrics: Metrics


class Memory(Record):
    """Bytes in use, of everything that runs here; None where the system does not tell."""

    process: int | None = None
    gpu: int | None = Field(None, description="Allocated on the model's GPU.")
    gpu_peak: int | None = Field(None, description="The most that ever was.")


class Timings(Record):
    """Seconds spent on the run as a whole."""

    queued: float
    tokenize: float
    prefill: float
    prefill_tokens: int
    prompt_known: bool = Field(
        False, description="Read for an earlier run: its keys and values were copied instead."
    )
    total: float
    alone: bool = False  # lanes ran one after the other, each with a prefill of its own
    memory: Memory | None = Field(None, description="When the run ended; None until then.")


class ModelFacts(Record):
    """What the page's header says of a model. ``memory`` is in bytes."""

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
    has_chat_template: bool = False
    batch_invariant: bool = Field(
        True, description="Whether a text for a seed is the same whoever else is in the batch."
    )


class PromptToken(Record):
    """One token of a prompt as it was fed; their texts together are what it was read from."""

    id: int
    text: str = Field(
        description="What it adds to the text; empty in the middle of a character, and for a token "
        "that the tokenizer puts there itself."
    )
    name: str | None = Field(
        None, description="What it is by itself, where that is something else: bytes, or a name."
    )
    control: bool = Field(False, description="It is a control token, which no text is made of.")
    logprob: float | None = Field(
        None,
        description="Log-probability the model gave it after those before it, where the prompt "
        "was scored; null for the first.",
    )

    @property
    def alone(self) -> str:
        """How it is shown by itself."""
        return self.text if self.name is None else self.name


class Comparison(Record):
    """One run: a prompt, its limits, and what every lane wrote."""

    id: str
    created: str  # ISO 8601, UTC
    model: ModelFacts
    prompt: str  # as typed
    prompt_tokens: list[PromptToken]  # as fed, chat template included
    prompt_perplexity: float | None = None  # under the raw model, where the prompt was scored
    chat: bool = False
    split_special_tokens: bool = False  # names of control tokens in the prompt were plain text
    seed: int
    max_new_tokens: int
    min_new_tokens: int
    stop: list[str]
    timings: Timings
    lanes: list[LaneResult]

    def to_json(self, **kwargs: Any) -> str:
        return self.model_dump_json(**kwargs)

    @classmethod
    def from_json(cls, text: str | bytes) -> Comparison:
        return cls.model_validate_json(text)

    def frame(self, samples: Literal["shown", "all"] | Sequence[int] = "shown") -> pd.DataFrame:
        """A row per token: of every lane's first text, of all its texts, or of these by number.

        What a person counts is counted as on the page: columns are A, B, C …, ``sample`` numbers a
        column's texts from 1 and ``position`` a text's tokens from 1. ``token`` is a token by
        itself, ``text`` what it adds to the readable text.
        """
        import pandas as pd

        columns = [
            "column", "recipe", "sample", "position", "token_id", "token", "text",
            "raw_probability", "probability", "raw_logprob", "logprob", "raw_rank", "rank",
            "raw_entropy", "entropy", "survivors", "score", "forward_ms", "processors_ms",
            "search_ms", "record_ms", "forward_rows", "at_s",
        ]  # fmt: skip
        rows = [
            {
                "column": column_name(number),
                "recipe": lane.recipe,
                "sample": output + 1,
                "position": step.index + 1,
                "token_id": step.token,
                "token": step.piece,
                "text": step.text,
                "raw_probability": step.raw_probability,
                "probability": step.probability,
                "raw_logprob": step.raw_logprob,
                "logprob": step.logprob,
                "raw_rank": step.raw_rank,
                "rank": step.rank,
                "raw_entropy": step.raw_entropy,
                "entropy": step.entropy,
                "survivors": step.stages[-1].survivors if step.stages else lane.trace.vocab_size,
                "score": step.score,
                "forward_ms": step.times.forward * 1e3,
                "processors_ms": step.times.processors * 1e3,
                "search_ms": step.times.search * 1e3,
                "record_ms": step.times.record * 1e3,
                "forward_rows": step.times.forward_rows,
                "at_s": step.at,
            }
            for number, lane in enumerate(self.lanes)
            for output in _samples(samples, number, len(lane.trace.outputs))
            for step in lane.trace.path(output)
        ]
        return pd.DataFrame(rows, columns=columns)


def column_name(lane: int) -> str:
    """What a lane is called, counted from 0: A to Z, then AA, AB …"""
    name = ""
    while lane >= 0:
        name = chr(ord("A") + lane % 26) + name
        lane = lane // 26 - 1
    return name


def _samples(samples: str | Sequence[int], lane: int, texts: int) -> Sequence[int]:
    """Which of a lane's texts are asked for, counted from 0."""
    if samples == "all":
        return range(texts)
    if samples == "shown":
        return [0]
    if isinstance(samples, str):
        raise ValueError(
            f"samples is {samples!r}; it must be 'shown', 'all', or a text's number for each lane."
        )
    return [samples[lane] if lane < len(samples) and samples[lane] < texts else 0]
