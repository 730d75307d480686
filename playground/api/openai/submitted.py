"""A request that was checked and submitted: its runs, and what its response needs of them."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from playground.api.openai.logprobs import Scored, of_prompt, of_step
from playground.api.openai.requests import (
    DEFAULT_TOKENS,
    ChatBody,
    CompletionBody,
    Prompt,
    most_tokens,
    prompts,
)
from playground.engine import FieldError, Request, Run
from playground.service import Service
from playground.trace import FinishReason, StepRecord
from strategies.bridges.sampling_fields import field_of
from strategies.recipe import Recipe

# OpenAI has two reasons, and clients expect these words.
_REASONS: dict[FinishReason, str] = {
    "eos": "stop",
    "stop": "stop",
    "length": "length",
    "context": "length",
    "deadline": "length",
    "cancelled": "length",
    "waiting": "stop",
    "error": "error",
}


def finish_reason(reason: FinishReason | None) -> str | None:
    """Why a text ended, in OpenAI's words; ``error`` is this server's own."""
    return None if reason is None else _REASONS[reason]


@dataclass(frozen=True)
class Submitted:
    """One request's ``runs``, of which each writes ``texts`` texts after a prompt of its own."""

    body: CompletionBody | ChatBody
    runs: Sequence[Run]
    recipe: Recipe
    texts: int
    seed: int
    ignored: list[str]  # fields that were sent and change nothing
    lowered: int | None = None  # the most new tokens, where more were requested
    created: int = field(default_factory=lambda: int(time.time()))
    id: str = field(default_factory=lambda: secrets.token_hex(12))

    @property
    def chat(self) -> bool:
        return isinstance(self.body, ChatBody)

    @property
    def model(self) -> str:
        return self.runs[0].facts.id

    @property
    def echo(self) -> bool:
        return isinstance(self.body, CompletionBody) and bool(self.body.echo)

    @property
    def as_ids(self) -> bool:
        return bool(self.body.return_tokens_as_token_ids)

    @property
    def headers(self) -> dict[str, str]:
        """The headers that name fields of the request which were ignored or lowered."""
        found = {}
        if self.ignored:  # names are the client's own, and a header takes few characters
            names = [name for name in self.ignored if name.isascii() and name.isprintable()]
            found["X-Ignored-Fields"] = ", ".join(names)[:1000]
        if self.lowered is not None:
            found["X-Max-Tokens"] = str(self.lowered)
        return found

    def scored(self, steps: Sequence[StepRecord]) -> list[Scored]:
        """Generated tokens with their log-probabilities, and with each stage where requested."""
        processed = self.body.logprobs_mode == "processed_logprobs"
        names = self._stages if self.body.stages else None
        return [of_step(step, self.body.likeliest or 0, processed, names) for step in steps]

    @cached_property
    def _stages(self) -> list[str]:
        """The processors that ran, as written in the recipe; a step has a stage for each."""
        return [step.written for step in self.runs[0].views[0].chain.processors]


def scored_prompt(service: Service, submitted: Submitted, run: Run) -> list[Scored]:
    """The prompt's tokens with the model's own log-probabilities; takes a forward."""
    scores = service.prompt_scores(run, submitted.body.likeliest or 0)
    ids = {id for score in scores if score is not None for id in score.likeliest}
    names = service.pieces(sorted(ids), run.facts.id)
    return of_prompt(run.prompt_tokens, scores, names)


@dataclass(frozen=True)
class Plan:
    """A body as requests to the engine, none of which is submitted yet."""

    requests: list[Request]
    recipe: Recipe
    seed: int
    lowered: int | None


def plan(service: Service, body: CompletionBody | ChatBody, client: str, most: int) -> Plan:
    """The requests of a body with at most ``most`` prompts. Raises ``FieldError``."""
    settings = service.settings
    recipe = body.chosen_recipe(settings.dialect, lambda: service.own_settings(body.model))
    if isinstance(body, ChatBody):
        if body.top_logprobs and body.likeliest is None:
            raise FieldError("top_logprobs", "top_logprobs needs logprobs to be true.")
        found = [_conversation(service, body)]
        sent = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
        limit = most_tokens(sent, settings, settings.max_new_tokens)
    else:
        found = prompts(body.prompt, most)
        sent = body.max_tokens
        limit = most_tokens(sent, settings, DEFAULT_TOKENS)
    seed = body.chosen_seed()
    likeliest = body.likeliest or 0
    processed = body.logprobs_mode == "processed_logprobs"
    recorded = max(1, likeliest, 20 if processed else 1)  # the recipe may prefer an unlikely one
    requests = [
        Request(
            prompt=prompt.text or _text(service, prompt, body.model),
            prompt_ids=list(prompt.ids),
            recipes=[recipe],
            max_new_tokens=limit,
            min_new_tokens=body.fewest_tokens(limit),
            seed=seed,
            stop=body.stops,
            top_n=recorded,
            client=client,
        )
        for prompt in found
    ]
    return Plan(requests, recipe, seed, limit if sent is not None and limit < sent else None)


def submit(service: Service, body: CompletionBody | ChatBody, planned: Plan) -> Submitted:
    """Submit what was planned. Raises ``FieldError``, with a field of the body."""
    try:
        runs = service.submit_all(planned.requests, body.model)
    except FieldError as error:
        raise _as_sent(error, body) from error
    ignored = body.ignored
    if isinstance(body, CompletionBody) and body.suffix:
        ignored = sorted([*ignored, "suffix"])
    recipe = planned.recipe
    return Submitted(body, runs, recipe, body.texts(recipe), planned.seed, ignored, planned.lowered)


def _conversation(service: Service, body: ChatBody) -> Prompt:
    conversation = service.conversation(
        body.read_messages(),
        body.model,
        answer=body.add_generation_prompt,
        go_on=body.continue_final_message,
    )
    return Prompt(conversation.text, tuple(conversation.ids))


def _text(service: Service, prompt: Prompt, model: str | None) -> str:
    try:
        return "".join(token.text for token in service.decode(prompt.ids, model))
    except FieldError as error:
        raise FieldError("prompt", error.message) from error


def _as_sent(error: FieldError, body: CompletionBody | ChatBody) -> FieldError:
    """An error of the engine with the field of the body that is at fault."""
    step = re.match(r"Step \d+ \((\w+)\): ", error.message)
    if error.field.startswith("recipes") and body.recipe is None and step is not None:
        name = field_of(step[1], body.model_extra or {})
        if name is not None:
            sentence = error.message[step.end() :]
            named = sentence if sentence.startswith(f"{name}: ") else f"{name}: {sentence}"
            return FieldError(name, named)
    return FieldError(_field(error, body), error.message)


def _field(error: FieldError, body: CompletionBody | ChatBody) -> str:
    """The field at fault as the body names it."""
    if error.field.startswith("recipes"):
        return "recipe" if body.recipe is not None or not body.n else "n"
    if error.field != "prompt":
        names = {"max_new_tokens": "max_tokens", "min_new_tokens": "min_tokens"}
        return names.get(error.field, error.field)
    if isinstance(body, ChatBody):
        return "messages"
    several = isinstance(body.prompt, list) and not all(type(one) is int for one in body.prompt)
    return f"prompt.{error.number}" if several else "prompt"
