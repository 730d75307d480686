"""The top line: the title, the model, the theme, and links."""

from __future__ import annotations

import json
from dataclasses import dataclass

import gradio as gr

from playground.service import Service
from playground.ui.archive import Archive
from playground.ui.element import element, message
from playground.ui.links import base


@dataclass(frozen=True)
class Header:
    """The region's components; ``fault`` says why a model could not be loaded.

    ``taking`` is the card of a model that is not on this machine; see ``taking.py``.
    """

    model: gr.Dropdown
    facts: gr.HTML
    fault: gr.HTML
    taking: gr.HTML
    opener: gr.HTML
    archive: gr.HTML


def header(service: Service, model: str, archive: Archive) -> Header:
    """Draw the region, and wire the events that concern it alone."""
    entries, settings = service.models.catalogue(), service.settings
    with gr.Row(elem_id="header"):
        gr.HTML("<h1>Decoding playground</h1>", apply_default_css=False, min_width=0)
        if service.settings.max_experiment_texts:
            element("areas", min_width=0)
        with gr.Row(elem_classes="model"):
            menu = gr.Dropdown(
                [(entry.title, entry.id) for entry in entries],
                value=model,
                label="Model",
                container=False,
                filterable=True,
                allow_custom_value=settings.allow_any_model or settings.allow_any_folder,
                elem_id="model",
                min_width=0,
            )
            facts = element("status", elem_id="facts")
        with gr.Row(elem_classes="links"):
            kept = archive.draw()
            opener = element("opener", min_width=0)
            share = gr.Button("Share link", size="sm", elem_id="share", min_width=0)
            gr.Button("API", size="sm", link="/docs", elem_id="api", min_width=0)
            theme = gr.Button("Light or dark", size="sm", elem_id="theme", min_width=0)
    fault, taking = message("model-fault"), element("taking", elem_id="taking")
    share.click(
        None, None, share, js=f"() => playground.share({json.dumps(base(service.settings))})",
        api_visibility="private",
    )  # fmt: skip
    theme.click(None, None, None, js="() => playground.toggleTheme()", api_visibility="private")
    return Header(menu, facts, fault, taking, opener, kept)
