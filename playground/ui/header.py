"""The top line: the title, the model, the theme, and links."""

from __future__ import annotations

import json
from dataclasses import dataclass

import gradio as gr

from playground.service import Service
from playground.trace import ModelFacts
from playground.ui.element import element, message
from playground.ui.links import base


@dataclass(frozen=True)
class Header:
    """The region's components; ``fault`` says why a model could not be loaded."""

    model: gr.Dropdown
    facts: gr.HTML
    fault: gr.HTML


def facts_line(facts: ModelFacts) -> str:
    """``CPU · bf16 · 0.4 GB``: the model's device, its number format, and its memory.

    Where the model is not batch-invariant, the line says that a text may depend on its batch.
    """
    device = facts.device.upper() if facts.device in ("cpu", "mps") else facts.device
    short = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
    size = f"{facts.parameters / 1e6:,.0f} M parameters"
    parts = [
        size,
        f"{device} {short.get(facts.dtype, facts.dtype)}",
        f"{facts.memory / 1e9:.1f} GB",
        *([] if facts.batch_invariant else ["texts can depend on the batch"]),
    ]
    return " · ".join(parts)


def header(service: Service, model: str) -> Header:
    """Draw the region, and wire the events that concern it alone."""
    entries = service.models.catalogue()
    with gr.Row(elem_id="header"):
        gr.HTML("<h1>Decoding playground</h1>", apply_default_css=False, min_width=0)
        with gr.Row(elem_classes="model"):
            menu = gr.Dropdown(
                [(entry.title, entry.id) for entry in entries],
                value=model,
                label="Model",
                container=False,
                filterable=service.settings.allow_any_model,
                allow_custom_value=service.settings.allow_any_model,
                elem_id="model",
                min_width=0,
            )
            facts = element("status", elem_id="facts")
        with gr.Row(elem_classes="links"):
            share = gr.Button("Share link", size="sm", elem_id="share", min_width=0)
            gr.Button("API", size="sm", link="/docs", elem_id="api", min_width=0)
            theme = gr.Button("Light or dark", size="sm", elem_id="theme", min_width=0)
    fault = message("model-fault")
    share.click(
        None, None, share, js=f"() => playground.share({json.dumps(base(service.settings))})",
        api_visibility="private",
    )  # fmt: skip
    theme.click(None, None, None, js="() => playground.toggleTheme()", api_visibility="private")
    return Header(menu, facts, fault)
