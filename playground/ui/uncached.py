"""Measuring a column again: alone, once with its keys and values kept and once without."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr

from playground.engine import Request
from playground.service import Service
from playground.trace import Comparison
from playground.ui.visitor import counted
from strategies.recipe import Recipe

FRAME_S = 0.5


def measure(
    service: Service, comparison: Comparison, lane: int, request: gr.Request
) -> Iterator[tuple[Comparison, Comparison | None]]:
    """Both runs as far as they are, the second None while the first goes on.

    The last is of the whole texts, and ``request`` says who asks. Raises ``FieldError``,
    ``ModelError`` or ``Busy``; whoever stops listening ends them.
    """
    asked = {
        "prompt": comparison.prompt,
        "recipes": [Recipe.parse(comparison.lanes[lane].recipe)],
        "max_new_tokens": comparison.max_new_tokens,
        "min_new_tokens": comparison.min_new_tokens,
        "seed": comparison.seed,
        "stop": comparison.stop,
        "chat": comparison.chat,
        "split_special_tokens": comparison.split_special_tokens,
        "alone": True,
        "client": counted(request, service),
    }
    first = None
    for cache in (True, False):
        run = service.submit(Request(**asked, cache=cache), comparison.model.id)
        try:
            while not run.join(FRAME_S):
                yield (run.comparison(), None) if first is None else (first, run.comparison())
        finally:
            run.cancel()  # without effect on a finished one
        if first is None:
            first = run.comparison()
        else:
            yield first, run.comparison()
