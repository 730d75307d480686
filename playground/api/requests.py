"""The bodies of requests, each field with its bounds on this host and its description."""

from dataclasses import dataclass
from typing import Annotated, Any, Self

from fastapi.exceptions import RequestValidationError
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from playground.settings import Settings
from strategies.recipe import Recipe

COMPARE_EXAMPLES: dict[str, Any] = {
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
GENERATE_EXAMPLES: dict[str, Any] = {
    "echo": {
        "summary": "With the prompt and every token's log-probability",
        "value": {
            "prompt": "Once upon a time",
            "recipe": "temperature(0.6) | top_p(0.9) | sample",
            "max_new_tokens": 16,
            "logprobs": True,
            "echo": True,
        },
    }
}
BATCH_EXAMPLES: dict[str, Any] = {
    "two": {
        "summary": "Two prompts of different length",
        "value": {
            "prompts": ["Once upon a time", "The capital of France is"],
            "recipe": "greedy",
            "max_new_tokens": 16,
        },
    }
}


_VALIDATE = object()  # the validation context of ``validated``


class DeferredBody(BaseModel):
    """A body, or a base of one, that FastAPI passes on unchecked, and ``validated`` checks.

    FastAPI would check it on the event loop, where every other client would wait while recipes are
    parsed; ``validated`` is called on a thread.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="wrap")
    @classmethod
    def _defer(cls, sent: Any, check: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Any:
        return check(sent) if info.context is _VALIDATE else sent


@dataclass(frozen=True)
class RequestModels:
    """The model of each route's body."""

    compare: type[BaseModel]
    generate: type[BaseModel]
    batch: type[BaseModel]


def validated(model: type[BaseModel], sent: Any) -> Any:
    """The body as ``model``. Raises ``RequestValidationError``, naming every field at fault."""
    try:
        return model.model_validate(sent, context=_VALIDATE)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise RequestValidationError(
            [{**fault, "loc": ("body", *fault["loc"])} for fault in found], body=sent
        ) from None


def most_prompts(settings: Settings) -> int:
    """The most prompts in one batch: no more than fit into the queue."""
    return min(settings.max_batch, settings.max_waiting)


def request_models(settings: Settings) -> RequestModels:
    """The bodies that this host accepts."""
    most = settings.max_new_tokens
    Prompt = Annotated[str, Field(min_length=1, max_length=settings.max_prompt_chars)]
    StopString = Annotated[str, Field(min_length=1, max_length=settings.max_stop_chars)]
    recipe_forms = (
        "Either the one-line form, processors in the order they apply and then a search, or the "
        "same as steps; GET /api/strategies names them all."
    )

    class RunOptions(DeferredBody):
        max_new_tokens: int = Field(
            min(64, most),
            ge=0,
            le=most,
            description="Most tokens one recipe may write. 0 writes nothing and scores the prompt.",
        )
        min_new_tokens: int = Field(
            0, ge=0, le=most, description="End-of-sequence tokens are held back until then."
        )
        seed: int = Field(
            0, ge=0, lt=2**63, description="Luck. What is run together shares it, and it repeats."
        )
        stop: list[StopString] = Field(
            default_factory=list,
            max_length=settings.max_stop_strings,
            description="Texts that end what is written; not part of it.",
        )
        chat: bool = Field(
            False, description="Put the prompt into the model's chat template as a user's message."
        )
        split_special_tokens: bool = Field(
            False,
            description="Read names of control tokens in the prompt, such as `<|im_end|>`, as the "
            "plain text they are; a chat template's own still control.",
        )
        deadline: float | None = Field(
            None,
            gt=0,
            le=settings.deadline_s,
            allow_inf_nan=False,
            description="Seconds after which a run ends with what it has.",
        )
        model: str | None = Field(
            None,
            min_length=1,
            max_length=500,
            description="An id from GET /api/models; the host's default where null.",
        )

    class StreamOption(DeferredBody):
        stream: bool = Field(
            False, description="Answer with server-sent events while the text is written."
        )

    class TokenOptions(DeferredBody):
        logprobs: bool = Field(
            False,
            description="Return each token's log-probability by the model, before any processor.",
        )
        echo: bool = Field(
            False,
            description="Begin the text and the tokens with the prompt; with `logprobs`, its "
            "tokens have theirs too.",
        )

    # Fields come in the order of the bases from right to left.
    class Compare(DeferredBody):
        prompt: Prompt = Field(description="The text to continue.")
        recipes: list[Recipe] = Field(
            min_length=1,
            max_length=settings.max_columns,
            description=f"One lane each. {recipe_forms}",
        )

    class CompareRequest(StreamOption, RunOptions, Compare):
        """A prompt and the recipes that continue it."""

        top_n: int = Field(
            settings.top_n, ge=1, le=200, description="Candidates recorded per step of the trace."
        )
        alone: bool = Field(
            False, description="Run the lanes one after the other, for timings of each by itself."
        )
        cache: bool = Field(
            True,
            description="False reads the whole text again for every token, without the keys and "
            "values kept of it, to measure what keeping them saves.",
        )

    class Generate(DeferredBody):
        prompt: Prompt = Field(description="The text to continue.")
        recipe: Recipe = Field(description=recipe_forms)

    class GenerateRequest(StreamOption, TokenOptions, RunOptions, Generate):
        """A prompt and the recipe that continues it."""

    class Batch(DeferredBody):
        prompts: list[Prompt] = Field(
            min_length=1,
            max_length=most_prompts(settings),
            description="The texts to continue, each by itself.",
        )
        recipe: Recipe = Field(description=recipe_forms)

    class BatchRequest(TokenOptions, RunOptions, Batch):
        """Several prompts and the recipe that continues each."""

    return RequestModels(CompareRequest, GenerateRequest, BatchRequest)
