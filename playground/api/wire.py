"""What goes over HTTP: the requests, the answers and the events, each field described.

The descriptions are the documentation at ``/api/docs``; bounds come from the host's settings.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from playground.settings import Settings
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
from strategies.recipe import Recipe

EXAMPLES: dict[str, Any] = {
    "three": {
        "summary": "Three recipes, one of them as steps",
        "value": {
            "prompt": "Once upon a time",
            "recipes": [
                "greedy",
                "temperature(0.8) | top_p(0.95) | sample",
                {"steps": [{"strategy": "beam", "params": {"num_beams": 4}}]},
            ],
            "max_new_tokens": 24,
            "seed": 7,
        },
    }
}


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
        "`max_new_tokens`; `context`: the model's context is full; `deadline`: the time is up; "
        "`cancelled`: the client left; `error`: see `error`."
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

    @classmethod
    def at(cls, lane: int, index: int, step: StepRecord) -> "Appended":
        return cls.model_construct(**dict(Token.of(step)), lane=lane, index=index)


class Rewound(Closed):
    """`event: rewind`: a beam now leads with another text. Cut the lane's tokens to `length`."""

    lane: int
    length: int


class Ended(Closed):
    """`event: lane`: a lane has ended; its final text."""

    lane: int
    text: str
    finish_reason: FinishReason | None
    error: str | None = None


# A reader of the stream sees these and then `done` (Compared) or `error` (Problem).
EVENTS: dict[str, type[BaseModel]] = {
    "start": Started,
    "token": Appended,
    "rewind": Rewound,
    "lane": Ended,
}


class StrategyCard(Closed):
    """One strategy that a recipe may name."""

    id: str = Field(description="Its name in a recipe.")
    kind: Literal["processor", "search"] = Field(
        description="A recipe is any number of processors, ended by one search."
    )
    title: str
    summary: str
    formula: str = Field(description="LaTeX, without delimiters.")
    source: str = Field(description="The paper or library the definition is from.")
    url: str
    advice: str = Field(description="When to use it, and when not.")
    params: dict[str, Any] = Field(description="Its settings as a JSON schema, with bounds.")


class BrokenPlugin(Closed):
    """A plugin that did not load."""

    name: str
    error: str


class Strategies(Closed):
    strategies: list[StrategyCard] = Field(description="Processors first, then searches.")
    broken: list[BrokenPlugin] = Field(description="Plugins that did not load, and why.")


class ModelCard(Closed):
    """One model that `model` may name."""

    id: str
    title: str
    summary: str
    source: str = Field(description="`built-in`, `hub` or `folder`.")
    loaded: bool = Field(description="Whether it is in memory; another is loaded on first use.")
    facts: ModelFacts | None = Field(None, description="Known once it is loaded.")


class ModelList(Closed):
    default: str = Field(description="The model used where a request names none.")
    models: list[ModelCard]


class Health(Closed):
    status: Literal["ok", "starting", "failing"] = Field(
        description="`starting` until a model is loaded; `failing`, with 503, where the decode "
        "loop has stopped."
    )
    models: list[str] = Field(description="The models that are ready to write.")


def compare_request(settings: Settings) -> type[BaseModel]:
    """The body of ``POST /api/compare``, bounded by what this host allows."""

    class CompareRequest(BaseModel):
        """A prompt and the recipes that continue it."""

        model_config = ConfigDict(extra="forbid", strict=True)

        prompt: str = Field(
            min_length=1, max_length=settings.max_prompt_chars, description="The text to continue."
        )
        recipes: list[Recipe] = Field(
            min_length=1,
            max_length=settings.max_columns,
            description="One lane each. Either the one-line form, processors in the order they "
            "apply and then a search, or the same as steps; GET /api/strategies names them all.",
        )
        max_new_tokens: int = Field(
            min(64, settings.max_new_tokens),
            ge=1,
            le=settings.max_new_tokens,
            description="Most tokens a lane may write.",
        )
        min_new_tokens: int = Field(
            0,
            ge=0,
            le=settings.max_new_tokens,
            description="End-of-sequence tokens are held back until then.",
        )
        seed: int = Field(
            0, ge=0, lt=2**63, description="Luck. Lanes of a run share it, and it repeats."
        )
        stop: list[Annotated[str, Field(min_length=1, max_length=settings.max_stop_chars)]] = Field(
            default_factory=list,
            max_length=settings.max_stop_strings,
            description="Texts that end a lane; not part of its text.",
        )
        top_n: int = Field(
            settings.top_n, ge=1, le=200, description="Candidates recorded per step of the trace."
        )
        chat: bool = Field(
            False, description="Put the prompt into the model's chat template as a user's message."
        )
        alone: bool = Field(
            False, description="Run the lanes one after the other, for timings of each by itself."
        )
        deadline: float | None = Field(
            None,
            gt=0,
            le=settings.deadline_s,
            allow_inf_nan=False,
            description="Seconds after which the run ends with what it has.",
        )
        model: str | None = Field(
            None,
            min_length=1,
            max_length=500,
            description="An id from GET /api/models; the host's default where null.",
        )
        stream: bool = Field(
            False, description="Answer with server-sent events while the text is written."
        )

    return CompareRequest
