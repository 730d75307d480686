"""The bodies of OpenAI's responses, described for ``/api/docs``; ``responses`` makes them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Reason = Literal["stop", "length", "error"]
_REASON = (
    "`stop`: the text ended, or a stop string came; `length`: a limit; `error`: it failed. Null "
    "in a stream until then."
)


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TokenStage(_Closed):
    """The distribution of the model, or after one step of the recipe."""

    step: str | None = Field(description="As written in the recipe; null for the model itself.")
    probability: float = Field(description="Of the token.")
    survivors: int | None = Field(description="Tokens that are left; null for the model itself.")
    entropy: float = Field(description="In nats.")
    likeliest: dict[str, float] = Field(description="The probabilities of the tokens returned.")


class CompletionLogprobs(_Closed):
    """Parallel lists, an entry for each token."""

    tokens: list[str]
    token_logprobs: list[float | None] = Field(description="Null for a prompt's first token.")
    top_logprobs: list[dict[str, float] | None] = Field(
        description="The likeliest tokens at its position."
    )
    text_offset: list[int] = Field(description="Where in the text it begins.")
    stages: list[list[TokenStage] | None] | None = Field(
        None, description="With `stages`; null for a prompt's tokens."
    )


class CompletionChoice(_Closed):
    """One text."""

    index: int = Field(description="Those of the first prompt come first.")
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: Reason | None = Field(description=_REASON)
    error: str | None = Field(None, description="What went wrong while it was written.")


class ChatToken(_Closed):
    token: str
    logprob: float
    bytes: list[int] = Field(description="Of its text, which may be part of a character.")


class ChatTokenLogprob(ChatToken):
    top_logprobs: list[ChatToken] = Field(description="The likeliest tokens at its position.")
    stages: list[TokenStage] | None = Field(None, description="With `stages`.")


class ChatLogprobs(_Closed):
    content: list[ChatTokenLogprob] = Field(description="One for each token.")
    refusal: None = None


class ChatMessage(_Closed):
    role: Literal["assistant"]
    content: str
    refusal: None = None


class ChatChoice(_Closed):
    """One text."""

    index: int
    message: ChatMessage
    logprobs: ChatLogprobs | None
    finish_reason: Reason | None = Field(description=_REASON)
    error: str | None = Field(None, description="What went wrong while it was written.")


class TokenUsage(_Closed):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class _Answer(_Closed):
    id: str
    created: int = Field(description="Seconds since 1970.")
    model: str
    usage: TokenUsage
    seed: int = Field(description="With which the same request writes the same texts.")
    recipe: str = Field(description="What the sampling fields became.")


class CompletionAnswer(_Answer):
    """The response of ``/v1/completions``."""

    object: Literal["text_completion"]
    choices: list[CompletionChoice]


class ChatAnswer(_Answer):
    """The response of ``/v1/chat/completions``."""

    object: Literal["chat.completion"]
    choices: list[ChatChoice]


class OpenAIModel(_Closed):
    """One model that ``model`` may name."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    root: str
    max_model_len: int | None = Field(description="Tokens of its context; known once it is loaded.")


class OpenAIModels(_Closed):
    object: Literal["list"]
    data: list[OpenAIModel] = Field(description="The host's default first.")


STREAM: dict[str, Any] = {
    "text/event-stream": {
        "schema": {"type": "string"},
        "example": 'data: {"choices": [{"index": 0, "text": " there"}]}\n\ndata: [DONE]\n\n',
    }
}
