"""Measures a column again, alone: once with the cache of keys and values, and once without."""

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
    """Both runs as far as they are, the second None while the first goes on; at last both whole.

    The runs count for the visitor of ``request``, and end where the generator is closed. Raises
    ``FieldError``, ``ModelError`` or ``Busy``.
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
            run.cancel()  # a finished run stays as it is
        if first is None:
            first = run.comparison()
        else:
            yield first, run.comparison()
