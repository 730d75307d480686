"""Text to tokens and back, by the paths and shapes of vLLM, llama.cpp and text-generation-webui."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from playground.api.openai.requests import ChatBody, Model
from playground.api.requests import DeferredBody
from playground.engine import FieldError
from playground.service import Service


class _Body(DeferredBody):
    model_config = ConfigDict(extra="ignore", strict=True)

    model: Model = Field(None, description="An id from GET /v1/models.")


class TokenizeBody(_Body):
    """``prompt`` or ``messages`` as vLLM has them, or ``content`` as llama.cpp does."""

    prompt: str | None = Field(None, description="The text, as vLLM has it.")
    content: str | None = Field(None, description="The text, as llama.cpp has it.")
    messages: list[dict[str, Any]] | None = Field(
        None, description="A conversation, which is put into the model's chat template."
    )
    add_special_tokens: bool | None = Field(
        None, description="Whether the tokenizer adds its own; with `prompt` it does by itself."
    )
    add_special: bool | None = Field(None, description="The same for `content`, where it does not.")
    add_generation_prompt: bool = Field(True, description="As for chat completions.")
    continue_final_message: bool = Field(False, description="As for chat completions.")
    return_token_strs: bool | None = Field(None, description="Return each token's text, too.")
    with_pieces: bool = Field(False, description="The same for `content`.")


class DetokenizeBody(_Body):
    """Tokens to be read."""

    tokens: list[int] = Field(description="Their ids.")


class EncodeBody(_Body):
    """A text to encode."""

    text: str = Field(description="The text.")


class DecodeBody(_Body):
    """The same as ``DetokenizeBody``."""

    tokens: list[int] = Field(description="Their ids.")


def tokenize(service: Service, body: TokenizeBody) -> dict[str, Any]:
    """The tokens of a text, where requested with the special ones that the tokenizer adds."""
    text = body.prompt if body.content is None else body.content
    llama = body.content is not None
    if body.messages is not None:
        chat = ChatBody.model_construct(messages=body.messages)
        ids = service.conversation(
            chat.read_messages(),
            body.model,
            answer=body.add_generation_prompt,
            go_on=body.continue_final_message,
        ).ids
    elif text is None:
        raise FieldError("prompt", "Give prompt, or messages.")
    else:
        _check(service, text)
        sent = body.add_special if llama else body.add_special_tokens
        special = (not llama) if sent is None else sent  # vLLM adds them by itself
        ids = (
            _with_special(service, text, body.model)
            if special
            else service.encode(text, body.model)
        )
    if llama:
        if not body.with_pieces:
            return {"tokens": ids}
        names = service.pieces(ids, body.model)
        return {"tokens": [{"id": id, "piece": names[id]} for id in ids]}
    names = service.pieces(ids, body.model) if body.return_token_strs else {}
    return {
        "count": len(ids),
        "max_model_len": service.backend(body.model).context_length,
        "tokens": ids,
        "token_strs": [names[id] for id in ids] if body.return_token_strs else None,
    }


def detokenize(service: Service, body: DetokenizeBody) -> dict[str, Any]:
    """The text of tokens, as vLLM (``prompt``) and llama.cpp (``content``) name it."""
    text = _text(service, body)
    return {"prompt": text, "content": text}


def encode(service: Service, body: EncodeBody) -> dict[str, Any]:
    """A text's tokens in the shape of text-generation-webui."""
    _check(service, body.text)
    ids = _with_special(service, body.text, body.model)
    return {"tokens": ids, "length": len(ids)}


def count(service: Service, body: EncodeBody) -> dict[str, Any]:
    """How many tokens a text has, in the shape of text-generation-webui."""
    return {"length": encode(service, body)["length"]}


def decode(service: Service, body: DecodeBody) -> dict[str, Any]:
    """The text of tokens, in the shape of text-generation-webui."""
    return {"text": _text(service, body)}


def model_info(service: Service) -> dict[str, Any]:
    """The model in use, where text-generation-webui's clients look for it."""
    return {"model_name": service.models.default, "lora_names": [], "loader": "transformers"}


def tokenizer_info(service: Service) -> dict[str, Any]:
    """What a client needs to use the chat template and the special tokens itself."""
    backend = service.backend()
    tokenizer = backend.tokenizer
    return {
        "tokenizer_class": type(tokenizer).__name__,
        **{
            name: getattr(tokenizer, name, None)
            for name in ("bos_token", "eos_token", "pad_token", "unk_token", "chat_template")
        },
        "model_max_length": backend.context_length,
        "vocab_size": backend.facts.vocab_size,
    }


def _text(service: Service, body: DetokenizeBody | DecodeBody) -> str:
    try:
        return "".join(token.text for token in service.decode(body.tokens, body.model))
    except FieldError as error:
        raise FieldError("tokens", error.message) from error


def _with_special(service: Service, text: str, model: str | None) -> list[int]:
    if not text:  # a prompt may not be empty, but has no more than what is added
        return []
    return [token.id for token in service.tokens(text, model=model)]


def _check(service: Service, text: str) -> None:
    most = service.settings.max_prompt_chars
    if len(text) > most:
        raise FieldError(
            "prompt", f"The text has {len(text):,} characters; at most {most:,} are allowed."
        )
