"""The bodies of responses about runs and the data of events, described for ``/api/docs``."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from playground.engine import Run
from playground.trace import (
    Comparison,
    FinishReason,
    LaneResult,
    Metrics,
    ModelFacts,
    PromptToken,
    StepRecord,
    Timings,
    Trace,
)


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Token(Closed):
    """One generated token."""

    id: int = Field(description="Its number in the model's vocabulary.")
    text: str = Field(description="What it adds to the text; empty in the middle of a character.")
    logprob: float = Field(description="Log-probability it was chosen with, after every processor.")
    raw_logprob: float = Field(description="Log-probability the model itself gave it.")

    @classmethod
    def of(cls, step: StepRecord) -> "Token":
        return cls.model_construct(
            id=step.token, text=step.text, logprob=step.logprob, raw_logprob=step.raw_logprob
        )


class Lane(LaneResult):
    """What one recipe wrote."""

    recipe: str = Field(description="The recipe in its one-line form.")
    text: str = Field(description="The new text, without the prompt and without a stop string.")
    tokens: list[Token] = Field(description="The generated tokens of that text, in order.")
    token_ids: list[int] = Field(description="The ids of `tokens` alone.")
    finish_reason: FinishReason | None = Field(
        description="`eos`: the model ended the text; `stop`: a stop string; `length`: "
        "`max_new_tokens`; `context`: the model's context is full; `waiting`: a person chooses "
        "the next token; `deadline`: the time is up; `cancelled`: the client left, or the server "
        "was stopped, as `error` then says; `error`: see `error`."
    )
    error: str | None = Field(None, description="What went wrong in this lane alone.")
    trace: Trace = Field(description="Every step: candidates, stages, ranks, entropies, times.")
    metrics: Metrics = Field(description="Numbers of the text, and this lane's timings.")


class Compared(Comparison):
    """One run: its settings, and what each recipe wrote, in the order they were sent."""

    id: str = Field(description="The run's id.")
    created: str = Field(description="When it was submitted; ISO 8601, UTC.")
    model: ModelFacts = Field(description="The model that wrote.")
    prompt: str = Field(description="As sent.")
    prompt_tokens: list[PromptToken] = Field(
        description="As fed to the model, chat template included."
    )
    prompt_perplexity: float | None = Field(
        None,
        description="Of the prompt under the model itself, its first token left out, where "
        "`max_new_tokens` is 0.",
    )
    timings: Timings = Field(description="Seconds the run as a whole took; shared by its lanes.")
    lanes: list[Lane] = Field(description="One per recipe.")

    @classmethod
    def of(cls, run: Comparison) -> "Compared":
        lanes = [
            Lane.model_construct(
                **dict(lane), tokens=[Token.of(step) for step in lane.trace.path()]
            )
            for lane in run.lanes
        ]
        return cls.model_construct(**{**dict(run), "lanes": lanes})


class Piece(Closed):
    """One token of a text."""

    id: int = Field(description="Its number in the model's vocabulary.")
    text: str = Field(description="What it adds to the text; empty in the middle of a character.")
    logprob: float | None = Field(
        None,
        description="Log-probability the model itself, before any processor, gave it after the "
        "tokens before it. Null without `logprobs`, and for a prompt's first token.",
    )


class Generated(Closed):
    """What one recipe wrote after one prompt."""

    id: str = Field(description="The run's id.")
    model: str = Field(description="The model that wrote.")
    recipe: str = Field(description="The recipe in its one-line form.")
    text: str = Field(
        description="The new text, with `echo` after the prompt; always the texts of `tokens`."
    )
    tokens: list[Piece] = Field(description="The tokens of that text, in order.")
    prompt_tokens: int = Field(description="How many tokens the prompt has.")
    prompt_perplexity: float | None = Field(
        None,
        description="Of the prompt under the model itself, its first token left out. Null unless "
        "its log-probabilities were asked for, or `max_new_tokens` is 0.",
    )
    finish_reason: FinishReason | None = Field(description="As for a lane of a comparison.")
    error: str | None = Field(None, description="What went wrong while it was written.")
    timings: Timings = Field(description="Seconds.")

    @classmethod
    def of(cls, run: Run, *, logprobs: bool, echo: bool) -> "Generated":
        """With ``echo`` the prompt and its tokens come first."""
        comparison = run.comparison()
        (lane,) = comparison.lanes
        tokens = [
            Piece(id=step.token, text=step.text, logprob=step.raw_logprob if logprobs else None)
            for step in lane.trace.path()
        ]
        if echo:
            prompt = [
                Piece(id=token.id, text=token.text, logprob=token.logprob if logprobs else None)
                for token in comparison.prompt_tokens
            ]
            tokens = prompt + tokens
        return cls(
            id=run.id,
            model=run.facts.id,
            recipe=lane.recipe,
            text=(run.prompt_text if echo else "") + lane.text,
            tokens=tokens,
            prompt_tokens=len(comparison.prompt_tokens),
            prompt_perplexity=comparison.prompt_perplexity,
            finish_reason=lane.finish_reason,
            error=lane.error,
            timings=comparison.timings,
        )


class GeneratedBatch(Closed):
    """What one recipe wrote after each of several prompts."""

    answers: list[Generated] = Field(description="One per prompt, in the order they were sent.")


class Started(Closed):
    """`event: start`, once, first."""

    id: str = Field(description="The run's id.")
    model: str
    recipes: list[str] = Field(description="One-line forms; a lane is an index into this list.")
    prompt_tokens: list[PromptToken]


class Appended(Token):
    """`event: token`: one more token at the end of a lane's text."""

    lane: int
    index: int = Field(description="Its position among the lane's generated tokens, from 0.")

    @staticmethod
    def at(lane: int, index: int, step: StepRecord) -> dict[str, Any]:
        """Its fields as a dictionary; an object for each token would take three times as long."""
        return {
            "id": step.token,
            "text": step.text,
            "logprob": step.logprob,
            "raw_logprob": step.raw_logprob,
            "lane": lane,
            "index": index,
        }


class Rewound(Closed):
    """`event: rewind`: a beam leads with another text, or tokens were taken back.

    Cut the lane's tokens to `length`.
    """

    lane: int
    length: int


class Ended(Closed):
    """`event: lane`: a lane has ended; its final text."""

    lane: int
    text: str
    finish_reason: FinishReason | None
    error: str | None = None


# A stream has these and ends with `done` (the plain answer) or `error` (Problem).
EVENTS: dict[str, type[BaseModel]] = {
    "start": Started,
    "token": Appended,
    "rewind": Rewound,
    "lane": Ended,
}
