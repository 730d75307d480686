"""OpenAI: the body of a request, or the call of its client."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from ...base import Context
from ...recipe import Recipe
from ..dialects import DIALECTS
from .format import Bounds, Brought, Format, FormatError, Loss, Taken
from .reading import from_fields
from .texts import calls, is_json_object, json_object, with_extra_body
from .vocabulary import Vocabulary
from .writing import to_fields

WORDS = Vocabulary(
    "OpenAI",
    DIALECTS["openai"],
    names={
        ("temperature", "temperature"): "temperature",
        ("top_p", "top_p"): "top_p",
        ("presence_penalty", "penalty"): "presence_penalty",
        ("frequency_penalty", "penalty"): "frequency_penalty",
        ("logit_bias", "bias"): "logit_bias",
        ("constrained", "json_schema"): "json_schema",
    },
    texts="n",
    limits={"max_new_tokens": "max_tokens", "seed": "seed", "stop": "stop"},
    within={
        "temperature": (0.0, 2.0),
        "top_p": (0.0, 1.0),
        "presence_penalty": (-2.0, 2.0),
        "frequency_penalty": (-2.0, 2.0),
    },
    inert=frozenset(
        {
            "model", "prompt", "messages", "input", "instructions", "stream", "stream_options",
            "logprobs", "top_logprobs", "user", "store", "metadata", "service_tier", "tools",
            "tool_choice", "parallel_tool_calls", "safety_identifier", "prompt_cache_key", "echo",
        }
    ),
)  # fmt: skip
MOST_STOPS = 4


class OpenAI(Format):
    id: ClassVar = "openai"
    title: ClassVar = "OpenAI"
    program: ClassVar = "OpenAI"
    suffix: ClassVar = ".json"
    url: ClassVar = "https://platform.openai.com/docs/api-reference/chat/create"
    read_in: ClassVar = DIALECTS["openai"].read

    def write(
        self,
        recipe: Recipe,
        bounds: Bounds,
        context: Context | None = None,
        own: Mapping[str, Any] | None = None,
    ) -> Taken:
        written = to_fields(recipe, WORDS, bounds, context)
        given, losses = dict(written.fields), list(written.losses)
        if "json_schema" in given:
            schema = {"name": "answer", "schema": given.pop("json_schema")}
            given["response_format"] = {"type": "json_schema", "json_schema": schema}
        if len(given.get("stop", ())) > MOST_STOPS:
            losses.append(Loss(f"OpenAI takes {MOST_STOPS} stop strings; the others are left out."))
            given["stop"] = given["stop"][:MOST_STOPS]
        text = json.dumps(given, ensure_ascii=False, indent=2)
        return Taken(self.id, text, written.there, tuple(losses))

    def read(self, text: str, own: Mapping[str, Any] | None = None) -> Brought:
        left_out: list[str] = []
        if is_json_object(text):
            given: dict[str, Any] = json_object(text)
        else:
            found = [call for call in calls(text) if call.name in ("create", "parse", "stream")]
            if not found:
                raise FormatError("There is no call of create(…) in it, and no object in JSON.")
            given, left_out = dict(found[0].arguments), found[0].left_out(WORDS.inert)
        return from_fields(self.id, with_extra_body(given), WORDS, own, left_out)

    def looks_like(self, text: str) -> int:
        if ".create(" in text:
            return 8
        if not is_json_object(text):
            return 0
        return 5 if json_object(text).keys() & {"response_format", "max_completion_tokens"} else 3


formats = (OpenAI(),)
