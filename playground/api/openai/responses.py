"""The response to a request that does not stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from playground.api.openai.logprobs import chat_shape, completion_shape
from playground.api.openai.submitted import Submitted, finish_reason, scored_prompt
from playground.engine import Run
from playground.service import Service
from playground.trace import FinishReason, StepRecord


@dataclass(frozen=True)
class Text:
    """One of the texts of a run."""

    text: str
    steps: list[StepRecord]
    finish_reason: FinishReason | None
    error: str | None


def response(service: Service, submitted: Submitted) -> dict[str, Any]:
    """The body of the response, once all runs are over."""
    choices: list[dict[str, Any]] = []
    for number, run in enumerate(submitted.runs):
        first = number * submitted.texts
        make = _chat_choices if submitted.chat else _completion_choices
        choices += make(service, submitted, run, first)
    return {
        "id": ("chatcmpl-" if submitted.chat else "cmpl-") + submitted.id,
        "object": "chat.completion" if submitted.chat else "text_completion",
        "created": submitted.created,
        "model": submitted.model,
        "choices": choices,
        "usage": usage(submitted),
        "seed": submitted.seed,
        "recipe": str(submitted.recipe),
    }


def usage(submitted: Submitted) -> dict[str, int]:
    """The tokens read and generated."""
    prompt = sum(len(run.prompt_tokens) for run in submitted.runs)
    written = sum(len(text.steps) for run in submitted.runs for text in texts(run, submitted.texts))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
    }


def texts(run: Run, count: int) -> Iterator[Text]:
    """At most ``count`` texts of a run, the best first; a greedy text is repeated."""
    (lane,) = run.comparison().lanes
    outputs = lane.trace.outputs
    for number in range(count):
        at = 0 if lane.trace.chain.chooses == "likeliest" else number
        if at < len(outputs):
            output = outputs[at]
            yield Text(output.text, lane.trace.path(at), output.finish_reason, lane.error)


def _completion_choices(
    service: Service, submitted: Submitted, run: Run, first: int
) -> Iterator[dict[str, Any]]:
    logprobs = submitted.body.likeliest is not None
    prompt = scored_prompt(service, submitted, run) if logprobs and submitted.echo else []
    before = run.prompt_text if submitted.echo else ""
    for number, text in enumerate(texts(run, submitted.texts)):
        yield {
            "index": first + number,
            "text": before + text.text,
            "logprobs": completion_shape(
                [*prompt, *submitted.scored(text.steps)], 0, submitted.as_ids
            )
            if logprobs
            else None,
            "finish_reason": finish_reason(text.finish_reason),
            **({"error": text.error} if text.error else {}),
        }


def _chat_choices(
    service: Service, submitted: Submitted, run: Run, first: int
) -> Iterator[dict[str, Any]]:
    logprobs = submitted.body.likeliest is not None
    for number, text in enumerate(texts(run, submitted.texts)):
        yield {
            "index": first + number,
            "message": {"role": "assistant", "content": text.text, "refusal": None},
            "logprobs": chat_shape(submitted.scored(text.steps), submitted.as_ids)
            if logprobs
            else None,
            "finish_reason": finish_reason(text.finish_reason),
            **({"error": text.error} if text.error else {}),
        }
