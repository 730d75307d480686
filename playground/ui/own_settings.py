"""A model's own settings as a recipe, for the preset of that name."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from playground.errors import ModelError
from playground.service import Service
from strategies.bridges.generation_config import Own, own_recipe


@dataclass(frozen=True)
class OwnSettings:
    """It needs the loaded model, whose id ``model`` holds."""

    service: Service
    model: gr.State

    def of(self, model: str) -> Own:
        """The recipe of the model's ``generation_config``; raises ``ModelError``."""
        config = self.service.backend(model).generation_config
        if config is None:
            raise ModelError("The model's own settings are known to its server alone.")
        return own_recipe(config)
