"""What the tools answer: the HTTP API's answers, without what a language model cannot read."""

from __future__ import annotations

from typing import Any

from playground.api.cards import Strategies
from playground.engine import Run
from playground.service import Service
from playground.trace import LaneResult


def written(service: Service, run: Run) -> dict[str, Any]:
    """A run that is over: its texts with their tokens, without the records of its steps."""
    if run.request.max_new_tokens == 0:
        service.score(run)
    comparison = run.comparison()
    return {
        "run": comparison.id,
        "model": comparison.model.id,
        "seed": comparison.seed,
        "prompt_tokens": len(comparison.prompt_tokens),
        "prompt_perplexity": comparison.prompt_perplexity,
        "lanes": [_lane(lane) for lane in comparison.lanes],
    }


def _lane(lane: LaneResult) -> dict[str, Any]:
    return {
        "recipe": lane.recipe,
        "text": lane.text,
        "finish_reason": lane.finish_reason,
        "error": lane.error,
        "perplexity": lane.metrics.perplexity,
        "tokens": [
            {"text": step.text, "logprob": step.logprob, "raw_logprob": step.raw_logprob}
            for step in lane.trace.path()
        ],
        "other_texts": [output.text for output in lane.trace.outputs[1:]],
    }


def brief(found: Strategies) -> dict[str, Any]:
    """Every strategy in a line, with the defaults of its settings."""
    return {
        "strategies": [
            {
                "name": card.id,
                "kind": card.kind,
                "summary": card.summary,
                "settings": {
                    name: setting.get("default")
                    for name, setting in card.params.get("properties", {}).items()
                },
            }
            for card in found.strategies
        ]
    }
