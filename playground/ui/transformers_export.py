"""A recipe as a call of transformers' ``generate``, and a model's own settings as a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from playground.models import ModelError
from playground.service import Service
from playground.ui.limits import whole
from strategies.bridges.generate import arguments, python
from strategies.bridges.generation_config import Own, own_recipe


@dataclass(frozen=True)
class TransformersExport:
    """Both need the loaded model: ``model`` holds its id, and ``tokens`` the length of a text."""

    service: Service
    model: gr.State
    tokens: gr.Textbox

    @property
    def inputs(self) -> list[Any]:
        return [self.model, self.tokens]

    def own(self, model: str) -> Own:
        """The recipe of the model's ``generation_config``; raises ``ModelError``."""
        return own_recipe(self.service.backend(model).generation_config)

    def python(self, written: str, model: str, tokens: Any) -> str:
        """A call of ``generate`` equivalent to this recipe, or a comment why there is none."""
        try:
            backend = self.service.running(model)
            if backend is None:
                return "# The model is not loaded yet."
            limit = {"max_new_tokens": whole("max_new_tokens", tokens)}
            context = backend.context(limit["max_new_tokens"])
            given = arguments(written, context, backend.generation_config)
        except (ModelError, ValueError) as problem:  # a RecipeError is a ValueError
            return f"# {problem}"
        return python(limit | given)
