"""The result of a run of 0 tokens, which scores the prompt."""

from __future__ import annotations

from typing import Any

import gradio as gr

from playground.service import Service
from playground.trace import Comparison
from playground.ui.chips import chips_of, control_note


def sentence(comparison: Comparison) -> str:
    """The prompt's perplexity under the model, in a sentence."""
    found = comparison.prompt_perplexity
    count = len(comparison.prompt_tokens) - 1
    if found is None:
        return "Nothing was written, and the prompt's only token follows none that would score it."
    tokens = "1 token" if count == 1 else f"{count:,} tokens"
    return (
        f"Nothing was written. The prompt's perplexity to the model is {found:.1f}, "
        f"over {tokens}, all but the first."
    )


def chips(service: Service, name: str) -> Any:
    """The chips of a run's prompt with log-probabilities; no change where it was not scored."""
    run = service.comparison(name)
    if run is None or run.prompt_perplexity is None:
        return gr.skip()
    backend = service.backend(run.model.id)
    note = control_note(backend.control_tokens(run.prompt), run.split_special_tokens)
    return chips_of(run.prompt_tokens, backend.context_length, note)
